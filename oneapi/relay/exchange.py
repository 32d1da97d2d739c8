"""One client request on its way through the relay: what came in, who asks, what he asks for."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from oneapi.wire import Json, Mode


class Client(Protocol):
    """The one who asked, as the relay sees him."""

    started: bool  # a head has been sent
    ended: bool  # the answer is complete

    def respond(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Send a whole answer."""

    def begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Send the head of a streamed answer."""

    def send(self, data: bytes) -> Awaitable[None] | None:
        """Send more of it. None: go on; else something to await before the next call."""

    def end(self) -> None:
        """The streamed answer is complete."""

    def abort(self) -> None:
        """Break the connection off: what was sent so far is not a whole answer."""


@dataclass(slots=True)
class Inbound:
    """A request as it was received. Secrets stay out of ``repr``."""

    mode: Mode
    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    remote_ip: str
    request_id: str
    started: float  # monotonic seconds
    path_model: str = ""  # /v1/engines/:model/embeddings


@dataclass(slots=True)
class Demand:
    """What the client wants, read once from the body.

    ``model`` routes; it may be a default that the body does not name. ``body`` is None when the body is a
    form, then ``model_span`` is where the form names its model.
    """

    mode: Mode
    model: str
    raw: bytes = field(repr=False)
    content_type: str
    body: Json | None = field(default=None, repr=False)
    form: Mapping[str, str] = field(default_factory=dict, repr=False)
    model_span: tuple[int, int] | None = None
    stream: bool = False
    wants_usage: bool = False
