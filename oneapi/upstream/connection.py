"""One socket to an upstream or a proxy: an asyncio protocol over llhttp, one exchange at a time."""

from __future__ import annotations

import asyncio
import math
import select
import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from oneapi.upstream import failures

if TYPE_CHECKING:
    from oneapi.errors import UpstreamError
    from oneapi.upstream.response import Response

HEAD_BYTES = 64 * 1024
HEADERS = 200
_OURS = frozenset({"content-encoding", "keep-alive", "transfer-encoding"})
_names: dict[bytes, str] = {}


class Owner(Protocol):
    """Who is told what becomes of a connection: the pool."""

    idle_s: float

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
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        # Upstreams that Go's client puts up with must work here: bare line feeds, a length beside chunks.
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True, lenient_optional_cr_before_lf=True)
        self._headers: list[tuple[str, str]] = []
        self._framing: dict[str, str] = {}
        self._overhead_bytes = 0  # received since the last byte of a body: heads, chunk sizes, trailers
        self._reused = False
        self._head_only = False
        self._unsent = False
        self._done = False
        self._keep = False
        self._paused = False
        self._readable: Callable[[int], object] = _never

    def begin(self, response: Response, data: bytes, *, head_only: bool, last: bool) -> bool:
        """Start an exchange by writing ``data``; ``last``: it is the whole request.

        False: this reused connection was found dead before the peer can have acted on a byte of the request,
        so it may be sent again on another one. That is so only when the socket had an end or stray bytes to
        read before we wrote, or refused the very first write. A close that arrives later proves nothing: the
        peer may have read the request and acted on it, and a chat paid twice is worse than an error.
        """
        transport = self._transport
        dead = transport is None or self.closing or transport.is_closing()
        if transport is None or dead or (self._reused and self._readable(0)):
            self.give_up()
            if self._reused:
                return False
            response.failed(failures.broken(None))
            return True
        self._headers = []
        self._framing = {}
        self._overhead_bytes = 0
        self._done = False
        self._head_only = head_only
        self._unsent = not last
        transport.write(data)
        if self._reused and transport.is_closing():
            return False
        self._response = response
        response.attach(self)
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
                self._fail(failures.protocol("the upstream's answer is not valid HTTP"), exc)
                return
        if self._done:
            self._finish(response)
            return
        if self._overhead_bytes > HEAD_BYTES:
            self._fail(failures.protocol("the upstream's answer has too large a head"))
            return
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
        until_close = "transfer-encoding" not in self._framing and not self._has_length()
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

    def on_message_begin(self) -> None:
        """llhttp: the first byte of an answer."""
        if self._done:
            self._keep = False  # an answer behind the one we asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        """llhttp: one field of a head or a trailer."""
        # Trailers come here too: nothing looks at what they add once the head is handed over.
        lower = _names.get(name) or _lower(name)
        text = value.decode("latin-1")
        self._headers.append((lower, text))
        if lower in _OURS:
            before = self._framing.get(lower)
            self._framing[lower] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        """llhttp: a head is whole."""
        response, parser = self._response, self._parser
        if self._done or response is None or parser is None:
            return
        status = parser.get_status_code()
        if status < 200:
            self._headers = []
            self._framing = {}
            return
        if len(self._headers) > HEADERS or (self._overhead_bytes > HEAD_BYTES and self._too_large()):
            raise HttpParserError("the head is too large")  # to data_received, through llhttp
        self._overhead_bytes = 0
        response.head_received(status, self._headers, self._framing.get("content-encoding", ""))
        if self._head_only:
            self._done = True
            self._keep = False  # llhttp expects the body that Content-Length promises

    def on_body(self, data: bytes) -> None:
        """llhttp: bytes of the body."""
        if self._done or self._response is None:
            return
        self._overhead_bytes = 0
        if self._response.body_received(data) and not self._paused:
            self._paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """llhttp: the answer is whole."""
        response, parser = self._response, self._parser
        if self._done or response is None or parser is None or not response.status:
            return
        self._done = True
        both = "transfer-encoding" in self._framing and self._has_length()
        self._keep = parser.should_keep_alive() and not both

    # ----------------------------------------------------------------

    def _has_length(self) -> bool:
        return any(name == "content-length" for name, _ in self._headers)

    def _too_large(self) -> bool:
        """Whether the head alone, without the body that came with it, is above the limit."""
        return sum(len(name) + len(value) + 4 for name, value in self._headers) > HEAD_BYTES

    def _finish(self, response: Response) -> None:
        self._response = None
        response.completed()
        if self._keep and not self._unsent and not self.closing:
            if not self._reused and self._transport is not None:
                self._reused = True
                self._readable = _watcher(self._transport)
            self.resume()
            self.deadline = monotonic() + self._idle_limit_s()
            self._owner.freed(self)
        else:
            self.give_up()
        response.wake()

    def _idle_limit_s(self) -> float:
        """A second less than the peer keeps the connection: ``Keep-Alive: timeout=5`` is Node's default."""
        hint = self._framing.get("keep-alive")
        if hint is None:
            return self._owner.idle_s
        for part in hint.split(","):
            name, _, value = part.strip().partition("=")
            if name.lower() == "timeout" and value.isascii() and value.isdigit():
                return min(self._owner.idle_s, int(value[:9]) - 1.0)
        return self._owner.idle_s

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


def _lower(name: bytes) -> str:
    """``name`` in lower case, remembered: upstreams send the same few dozen names again and again."""
    text = name.decode("latin-1").lower()
    if len(_names) < 1000 and len(name) <= 64:
        _names[name] = text
    return text
