"""What a provider is: a module with these names. It is pure; ``relay`` does all I/O for it.

A provider module never sees a socket, a clock, a database or another request. Everything it needs is in ``Call``.
"""

from typing import Protocol

from oneapi.errors import UpstreamError
from oneapi.wire import Call, Chunk, Event, Framing, Reply, UpstreamReply, UpstreamRequest, Usage


class Stream(Protocol):
    """The state of one streamed answer: events in, canonical chunks out."""

    framing: Framing
    usage: Usage | None  # the last that the upstream named, complete

    def feed(self, event: Event) -> list[Chunk]:
        """The chunks of ``event``. Raises UpstreamError when the event reports a failure."""

    def finish(self) -> list[Chunk]:
        """What is left when the upstream's body has ended. Raises UpstreamError when it ended too early."""


class Provider(Protocol):
    """A vendor's protocol. Modules implement it by having these names."""

    name: str
    channel_types: tuple[int, ...]

    def request(self, call: Call) -> UpstreamRequest:
        """The request for ``call``. Raises ClientError when the vendor has no such mode."""

    def reply(self, call: Call, reply: UpstreamReply) -> Reply:
        """The canonical answer. Raises UpstreamError for a failure inside a 200 and for what is no answer."""

    def stream(self, call: Call) -> Stream:
        """A fresh state machine for one streamed answer."""

    def error(self, call: Call, reply: UpstreamReply) -> UpstreamError:
        """The failure that ``reply`` (any status that is not a success, or JSON in place of a stream) reports."""
