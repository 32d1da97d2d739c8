"""One exchange on a client's socket: what a delegate answers through."""

import asyncio
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Protocol

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPOutputError,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import StreamClosedError

from oneapi.server.request import Head
from oneapi.server.response import StatusLines, has_body, header_lines, status_line

# A larger body is written by itself: copying it behind its head would cost more than a second write.
_JOINED_BYTES = 64 << 10
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Socket(Protocol):
    """What an exchange needs of the socket that it came on."""

    transport: asyncio.Transport
    remote_ip: str
    status_lines: StatusLines
    done: "asyncio.Future[None]"  # already resolved
    writing_paused: bool  # the client reads slowly: `drained` is worth a call

    def may_stay_open(self) -> bool:
        """Whether another request can follow the one being answered."""

    def answered(self, *, keep_alive: bool) -> None:
        """The exchange's last byte has been written."""

    def aborted(self) -> None:
        """The exchange gives up."""

    def drained(self) -> "asyncio.Future[None] | None":
        """None, or what to wait for before the next byte: the client reads slowly."""


class State(Enum):
    """How far the answer is."""

    WAITING = 0
    BEGUN = 1
    ENDED = 2  # answered, aborted, or the client is gone: whatever is sent now is dropped


WAITING, BEGUN, ENDED = State  # Python 3.11 looks a member up ten times faster here than in its class


class Connection(HTTPConnection):
    """The answer to one request. Tornado's ``HTTPConnection``, and a direct form for the relay:

    `respond`, or `begin`, `send` ... and `end`. ``headers`` are ``(name, value)`` pairs; Date, Connection,
    Content-Length and Transfer-Encoding are added here. `begin` honours a Content-Length: exactly so many
    bytes have to follow. Once the client is gone everything is accepted and dropped.
    """

    __slots__ = (
        "_chunked", "_keep_alive", "_left", "_muted", "_socket",
        "body_idle_s", "close_callback", "head", "max_body_bytes", "protocol", "remote_ip", "state",
    )  # fmt: skip

    def __init__(self, socket: Socket, head: Head, max_body_bytes: int, body_idle_s: float) -> None:
        self._socket = socket
        self.head = head
        self._keep_alive = False
        self._chunked = False
        self._muted = False  # HEAD, 204, 304: nothing may follow the head
        self._left: int | None = None  # what Content-Length has promised and was not sent yet
        self.state = WAITING
        self.close_callback: Callable[[], None] | None = None
        self.remote_ip = socket.remote_ip  # the peer; whoever trusts X-Forwarded-For may change it
        self.protocol = "http"
        self.max_body_bytes = max_body_bytes
        self.body_idle_s = body_idle_s

    def __str__(self) -> str:
        return self.remote_ip

    @property
    def context(self) -> "Connection":
        """Where Tornado looks for ``remote_ip`` and ``protocol``."""
        return self

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """``callback`` is called at once when the client vanishes before the answer has ended.

        While the request's body is still arriving, the delegate's ``on_connection_close`` is called instead.
        """
        self.close_callback = callback

    def set_max_body_size(self, max_body_size: int) -> None:
        """Another limit for this request's body; only in ``headers_received``."""
        self.max_body_bytes = max_body_size

    def set_body_timeout(self, timeout: float) -> None:
        """Another limit for silence within this request's body; only in ``headers_received``."""
        self.body_idle_s = timeout

    # The direct form

    def respond(self, status: int, headers: Iterable[tuple[str, str]], body: bytes = b"") -> None:
        """Send a whole answer."""
        if self.state is not WAITING and not self._may_begin():
            return
        socket, head = self._socket, self.head
        keep_alive = head.keep_alive and socket.may_stay_open()
        lines = header_lines(headers)
        if has_body(status):
            lines = f"{lines}Content-Length: {len(body)}\r\n"
        else:
            body = b""
        if head.start_line[0] == "HEAD":
            body = b""
        begin = b"".join((
            socket.status_lines.for_status(status),
            lines.encode("latin-1"),
            b"\r\n" if keep_alive and head.http_1_1 else self._connection_line(keep_alive=keep_alive),
            body if len(body) < _JOINED_BYTES else b"",
        ))  # fmt: skip
        socket.transport.write(begin)
        if len(body) >= _JOINED_BYTES:
            socket.transport.write(body)
        self.state = ENDED
        self.close_callback = None
        socket.answered(keep_alive=keep_alive)

    def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send the head of an answer whose body follows with `send`."""
        if not self._may_begin():
            return
        headers = tuple(headers)
        lines = header_lines(headers).encode("latin-1")
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
        framing = self._frame(status, length, close=False)
        self._socket.transport.write(b"".join((self._socket.status_lines.for_status(status), lines, framing)))

    def send(self, data: bytes) -> "asyncio.Future[None] | None":
        """Send a piece of the body. None: go on. A future: the client reads slowly; await it, then go on.

        It also resolves when the client is gone.
        """
        if self.state is not BEGUN:
            if self.state is WAITING:
                raise RuntimeError("send() before begin()")
            return None
        socket = self._socket
        transport = socket.transport
        if transport.is_closing():  # known to be lost, but not told yet
            return None
        if self._chunked:
            if data:  # an empty chunk would be the end
                transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        elif not self._muted:
            self._count(len(data))
            transport.write(data)
        return socket.drained() if socket.writing_paused else None

    def end(self) -> None:
        """The body is complete."""
        if self.state is not BEGUN:
            if self.state is WAITING:
                raise RuntimeError("end() before begin()")
            return
        if self._left:
            left = self._left
            self.abort()
            raise HTTPOutputError(f"the body is {left} bytes shorter than its Content-Length")
        if self._chunked:
            self._socket.transport.write(b"0\r\n\r\n")
        self._ended()
        self._socket.answered(keep_alive=self._keep_alive)

    def abort(self) -> None:
        """Cut the connection: the client must not take what it got for a complete answer."""
        if self.state is not ENDED:
            self._ended()
            self._socket.aborted()

    def invite_body(self) -> None:
        """Tell a client that waits for it (``Expect: 100-continue``) to send its body."""
        if self.state is WAITING:
            self._socket.transport.write(_CONTINUE)

    def probe(self) -> None:
        """Send something without a meaning, so that a client that is gone makes itself known by a reset."""
        if self.state is WAITING:
            if self.head.http_1_1:
                # Clients must accept interim responses that they did not ask for (RFC 9110, 15.2).
                self._socket.transport.write(_CONTINUE)
        elif self._chunked:
            self._socket.transport.write(b"0")  # a leading zero of the next chunk's size

    # Tornado's form

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> "asyncio.Future[None]":
        """Tornado's `begin`, with the first piece of the body."""
        if not self._may_begin():
            return _closed()
        assert isinstance(start_line, ResponseStartLine)  # noqa: S101  Tornado's interface is wider
        status = start_line.code
        self._socket.status_lines.for_status(status)  # refreshes the date
        date = b"" if "Date" in headers else self._socket.status_lines.date
        first = status_line(status, start_line.reason)
        lines = header_lines(headers.get_all()).encode("latin-1")
        length = int(headers["Content-Length"]) if "Content-Length" in headers else None
        asks_close = "close" in headers.get("Connection", "").lower()
        framing = self._frame(status, length, close=asks_close, connection="Connection" not in headers)
        self._socket.transport.write(b"".join((first, date, lines, framing)))
        return self.write(chunk) if chunk else self._flushed()

    def write(self, chunk: bytes) -> "asyncio.Future[None]":
        """Tornado's `send`."""
        if self.state is ENDED:
            return _closed()
        self.send(chunk)
        return self._flushed()

    def finish(self) -> None:
        """Tornado's `end`."""
        self.end()

    # Both

    def _may_begin(self) -> bool:
        if self.state is BEGUN:
            raise RuntimeError("the answer has already begun")
        return self.state is WAITING

    def _ended(self) -> None:
        self.state = ENDED
        self.close_callback = None  # it usually leads back here: no work for the garbage collector

    def _frame(self, status: int, length: int | None, *, close: bool, connection: bool = True) -> bytes:
        """Decide how the body's end is told; the header lines for it, and the end of the head."""
        self.state = BEGUN
        self._muted = self.head.start_line[0] == "HEAD" or not has_body(status)
        self._chunked = not self._muted and length is None and self.head.http_1_1
        self._left = None if self._muted else length
        keep_alive = self.head.keep_alive and not close and self._socket.may_stay_open()
        # Without chunks (HTTP/1.0) or a length only the end of the connection ends the body.
        self._keep_alive = keep_alive and (self._muted or self._chunked or length is not None)
        line = self._connection_line(keep_alive=self._keep_alive) if connection else b"\r\n"
        return b"Transfer-Encoding: chunked\r\n" + line if self._chunked else line

    def _connection_line(self, *, keep_alive: bool) -> bytes:
        if not keep_alive:
            return b"Connection: close\r\n\r\n"
        return b"\r\n" if self.head.http_1_1 else b"Connection: keep-alive\r\n\r\n"

    def _count(self, size: int) -> None:
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                self.abort()
                raise HTTPOutputError("the body is longer than its Content-Length")

    def _flushed(self) -> "asyncio.Future[None]":
        drained = self._socket.drained()
        if drained is None:
            return self._socket.done
        flushed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        drained.add_done_callback(lambda _: self._settle(flushed))
        return flushed

    def _settle(self, flushed: "asyncio.Future[None]") -> None:
        if flushed.done():
            return
        if self._socket.transport.is_closing():
            flushed.set_exception(StreamClosedError())
            flushed.exception()  # nobody has to await it
        else:
            flushed.set_result(None)


def _closed() -> "asyncio.Future[None]":
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(StreamClosedError())
    future.exception()
    return future
