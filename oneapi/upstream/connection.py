"""One socket to an upstream or a proxy: an asyncio protocol over llhttp, one exchange at a time."""

from __future__ import annotations

import asyncio
import math
import select
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from oneapi.upstream import failures

if TYPE_CHECKING:
    from oneapi.errors import UpstreamError
    from oneapi.upstream.response import Response

HEAD_BYTES = 64 * 1024
HEADERS = 200
_FRAMING = frozenset({"content-encoding", "keep-alive", "transfer-encoding"})
_NO_FRAMING: dict[str, str] = {}
_MOST_SHAPES = 1000
_SHAPE_BYTES = 4096


class Owner(Protocol):
    """Who is told what becomes of a connection: the pool."""

    idle_s: float
    trusted_s: float  # a connection used so lately is taken without asking the kernel about it

    def opened(self, connection: Connection) -> None:
        """The socket is ready."""

    def freed(self, connection: Connection) -> None:
        """An exchange is over and the socket can carry another one."""

    def closed(self, connection: Connection) -> None:
        """The socket is gone."""


class Connection(asyncio.Protocol):
    """Idle while ``response`` is None. ``deadline`` (monotonic seconds) is kept by the pool's sweep."""

    def __init__(self, owner: Owner, key: tuple[str, str], loop: asyncio.AbstractEventLoop) -> None:
        self.key = key
        self.loop = loop
        self.deadline = math.inf
        self.write_paused = False
        self.closing = False
        self._owner = owner
        self._response: Response | None = None
        self._transport: asyncio.Transport | None = None
        # llhttp calls the methods of these two lists, which costs much less than calling ours.
        self._raw: list[bytes] = []  # names and values of a head and its trailers, in turn
        self._body: list[bytes] = []  # what one read brings of a body
        # The first byte of an answer. So when nothing is left of a complete answer's head, another one has
        # begun behind it.
        self.on_message_begin = self._raw.clear
        self.on_body = self._body.append
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        # Upstreams that Go's client puts up with must work here: bare line feeds, a length beside chunks.
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True, lenient_optional_cr_before_lf=True)
        self._names: tuple[str, ...] = ()  # of the head's fields, in lower case
        self._framing = _NO_FRAMING  # the head's fields that are the connection's business
        self._overhead_bytes = 0  # received since the last byte of a body: heads, chunk sizes, trailers
        self._reused = False
        self._head_only = False
        self._unsent = False
        self._done = False
        self._keep = False
        self._paused = False
        self._freed_at = 0.0  # monotonic seconds
        self._readable: Callable[[int], object] = _never

    def is_usable(self) -> bool:
        """Whether the socket, idle until now, can carry another request.

        False when the peer has ended or sent something that nobody asked for: it cannot have acted on a byte
        of the request then, which may be sent on another connection. A close that arrives later proves
        nothing: the peer may have read the request, and a chat paid twice is worse than an error.

        What came in while the connection was idle the loop has delivered, unless it came in this very turn.
        Asking the kernel closes that gap, but it is a system call that hands Python's lock to other threads.
        So it is asked after an idle time that a peer may limit, and not while requests follow each other.
        """
        transport = self._transport
        if transport is None or self.closing or transport.is_closing():
            return False
        now = monotonic()
        return now < self.deadline and (now < self._freed_at + self._owner.trusted_s or not self._readable(0))

    def begin(self, response: Response, data: bytes, head_only: bool, last: bool) -> bool:  # noqa: FBT001  hot
        """Start an exchange by writing ``data``; ``last``: it is the whole request.

        False: this reused connection has refused the very first write, so that another one may be tried.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            self.give_up()
            response.failed(failures.broken(None))
            return True
        self._overhead_bytes = 0
        self._done = False
        self._head_only = head_only
        self._unsent = not last
        transport.write(data)
        if self._reused and transport.is_closing():
            return False
        self._response = response
        response.connection = self
        return True

    def write(self, data: memoryview, *, last: bool) -> None:
        """More of the request; ``last`` marks its end."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            self._unsent = not last

    def resume(self) -> None:
        """Read on after ``body_received`` asked for a pause."""
        if self._paused:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def give_up(self) -> None:
        """Close the socket at once, without waiting for anything to be flushed."""
        self._response = None
        self.closing = True
        if self._transport is not None:
            self._transport.abort()

    def expire(self) -> None:
        """The deadline has passed: an idle connection is closed, a waiting exchange fails."""
        response = self._response
        if response is not None:
            silent = "stopped answering" if response.status else "did not answer"
            response.failed(failures.timeout(f"the upstream {silent} in time"))
        self.give_up()

    def shut_down(self) -> None:
        """Close the socket; an exchange on it fails."""
        self._fail(failures.network("the gateway is shutting down"))

    # -- asyncio ------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the socket (and TLS) is ready."""
        self._transport = cast("asyncio.Transport", transport)
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes from the peer."""
        response = self._response
        parser = self._parser
        if response is None or parser is None:
            self.give_up()  # bytes that nobody asked for
            return
        self._overhead_bytes += len(data)
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as exc:
            # After a whole answer this is garbage behind it: the answer stands, the connection does not.
            self._keep = False
            if not self._done:
                self._hand_over(response)
                self._fail(failures.protocol("the upstream's answer is not valid HTTP"), exc)
                return
        if self._done:
            self._finish(response)
        elif self._body:
            self._overhead_bytes = 0
            self._hand_over(response)
            response.arrived()
        elif self._overhead_bytes > HEAD_BYTES:
            self._fail(failures.protocol("the upstream's answer has too large a head"))
        else:
            response.wake()

    def eof_received(self) -> None:
        """asyncio: the peer closed its side, and we ours: under TLS that would wait for its answer."""
        self.closing = True
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the socket is closed."""
        self.closing = True
        self._transport = None
        self._parser = None  # it holds our methods: without this each connection is a reference cycle
        self._owner.closed(self)
        response = self._response
        until_close = "transfer-encoding" not in self._framing and "content-length" not in self._names
        if response is None or exc is not None or not (response.status and until_close):
            self._fail(failures.broken(exc), exc)
        else:
            self._response = None
            response.completed()
            response.wake()

    def pause_writing(self) -> None:
        """asyncio: the peer reads more slowly than we write."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """asyncio: go on."""
        self.write_paused = False
        if self._response is not None:
            self._response.wake()

    # -- llhttp ------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """llhttp: one field of a head or a trailer."""
        # Trailers come here too: nothing looks at what they add once the head is handed over.
        self._raw += (name, value)

    def on_headers_complete(self) -> None:
        """llhttp: a head is whole."""
        response, parser = self._response, self._parser
        if self._done:
            self._keep = False  # an answer behind the one we asked for
            return
        if response is None or parser is None:
            return
        status = parser.get_status_code()
        if status < 200:
            return
        raw = self._raw
        if len(raw) > 2 * HEADERS or (self._overhead_bytes > HEAD_BYTES and self._too_large()):
            raise HttpParserError("the head is too large")  # to data_received, through llhttp
        self._overhead_bytes = 0
        names = tuple(raw[::2])
        shape = _shapes.get(names) or _shape(names)
        self._names = shape.names
        self._framing = _framing(shape.names, raw[1::2]) if shape.framed else _NO_FRAMING
        response.head_received(status, shape.names, raw[1::2], self._framing.get("content-encoding", ""))
        if self._head_only:
            self._done = True
            self._keep = False  # llhttp expects the body that Content-Length promises

    def on_message_complete(self) -> None:
        """llhttp: the answer is whole."""
        response, parser = self._response, self._parser
        if self._done or response is None or parser is None or not response.status:
            return
        self._done = True
        self._keep = parser.should_keep_alive() and not (
            "transfer-encoding" in self._framing and "content-length" in self._names
        )
        if self._body:
            self._hand_over(response)

    # ----------------------------------------------------------------

    def _hand_over(self, response: Response) -> None:
        """Give the response what has come of its body."""
        body = self._body
        if not body:
            return
        piece = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        if response.body_received(piece) and not self._paused:
            self._paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def _too_large(self) -> bool:
        """Whether the head alone, without the body that came with it, is above the limit."""
        return sum(map(len, self._raw)) + 2 * len(self._raw) > HEAD_BYTES

    def _finish(self, response: Response) -> None:
        self._response = None
        self._body.clear()  # of an answer that nobody asked for
        response.completed()
        if self._keep and (self._raw or not self._names) and not self._unsent and not self.closing:
            if not self._reused and self._transport is not None:
                self._reused = True
                self._readable = _watcher(self._transport)
            if self._paused:
                self.resume()
            self._freed_at = monotonic()
            idle_s = self._owner.idle_s
            if self._framing and (hint := self._framing.get("keep-alive")):
                idle_s = min(idle_s, _limit_s(hint))
            self.deadline = self._freed_at + idle_s
            self._owner.freed(self)
        else:
            self.give_up()
        response.wake()

    def _fail(self, error: UpstreamError, cause: Exception | None = None) -> None:
        response = self._response
        error.__cause__ = cause
        if response is not None:
            response.failed(error)
        self.give_up()


def _watcher(transport: asyncio.Transport) -> Callable[[int], object]:
    """Asks the kernel, for so many milliseconds, for bytes or an end that the loop has not delivered yet."""
    handle = transport.get_extra_info("socket").fileno()
    if sys.platform == "win32":
        return lambda limit_ms: select.select([handle], [], [], limit_ms / 1000)[0]
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return poll.poll


def _never(_: int) -> object:
    return None


@dataclass(slots=True)
class _Shape:
    """What heads with the same field names, in the same order, have in common."""

    names: tuple[str, ...]  # in lower case
    framed: bool  # some of them are in _FRAMING


_shapes: dict[tuple[bytes, ...], _Shape] = {}


def _shape(raw: tuple[bytes, ...]) -> _Shape:
    """Remembered: an upstream's answers nearly all have the same names."""
    names = tuple(name.decode("latin-1").lower() for name in raw)
    shape = _Shape(names, not _FRAMING.isdisjoint(names))
    if sum(map(len, raw)) <= _SHAPE_BYTES:
        if len(_shapes) >= _MOST_SHAPES:
            _shapes.clear()
        _shapes[raw] = shape
    return shape


def _framing(names: Iterable[str], values: Iterable[bytes]) -> dict[str, str]:
    """The fields in ``_FRAMING``; several of one name are one list."""
    framing: dict[str, str] = {}
    for name, value in zip(names, values, strict=True):
        if name in _FRAMING:
            text = value.decode("latin-1")
            framing[name] = f"{framing[name]}, {text}" if name in framing else text
    return framing


def _limit_s(hint: str) -> float:
    """A second less than the peer keeps the connection: ``Keep-Alive: timeout=5`` is Node's default."""
    for part in hint.split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "timeout" and value.isascii() and value.isdigit():
            return int(value[:9]) - 1.0
    return math.inf
