"""What a provider is: a module with these names. It is pure; ``relay`` does all I/O for it.

A provider never sees a socket, a clock, a database or another request. All it needs is in ``Call``.
"""

from typing import Protocol

from oneapi.errors import UpstreamError
from oneapi.wire import Call, Chunk, Event, Framing, Reply, UpstreamReply, UpstreamRequest, Usage


class Stream(Protocol):
    """The state of one streamed answer: events in, canonical chunks out."""

    framing: Framing
    usage: Usage | None  # the last that the upstream named, complete
    done: bool  # the upstream said that this was all: what follows is of no interest

    def feed(self, event: Event) -> list[Chunk]:
        """The chunks of ``event``. Raises UpstreamError when the event reports a failure."""

    def finish(self) -> list[Chunk]:
        """What is left when the upstream's body has ended. Raises UpstreamError when it ended too early."""


class Provider(Protocol):
    """A vendor's protocol. Modules implement it by having these names."""

    @property
    def name(self) -> str:
        """The vendor's name in texts."""

    @property
    def channel_types(self) -> tuple[int, ...]:
        """One API's numbers of the channel types that speak this protocol."""

    def asks_usage(self, call: Call) -> bool:
        """Whether a streamed ``call`` may carry ``stream_options.include_usage`` for our bill's sake.

        False where the vendor rejects it, or names the usage in any case.
        """

    def request(self, call: Call) -> UpstreamRequest:
        """The request for ``call``. Raises ClientError when the vendor has no such mode.

        Leaves ``call.body`` as it is: the next attempt starts from the same object.
        """

    def reply(self, call: Call, reply: UpstreamReply) -> Reply:
        """The canonical answer. Raises UpstreamError for a failure inside a 200 and for what is no answer."""

    def stream(self, call: Call) -> Stream:
        """A fresh state machine for one streamed answer."""

    def error(self, call: Call, reply: UpstreamReply) -> UpstreamError:
        """The failure in ``reply``: any status that is no success, or JSON in place of a stream."""
