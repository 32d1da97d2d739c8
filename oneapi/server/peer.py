"""A client's socket: requests in order to the application, within limits, until the client goes."""

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, cast

from tornado.httputil import HTTPInputError, HTTPMessageDelegate

from oneapi import tasks
from oneapi.errors import ClientError, GatewayError
from oneapi.server.chunked import ChunkedBody
from oneapi.server.connection import BEGUN, ENDED, Connection
from oneapi.server.headers import RequestHeaders
from oneapi.server.request import CHUNKED, Head, HeadReader, refusal
from oneapi.server.response import error_body

if TYPE_CHECKING:
    from oneapi.server.server import HTTPServer

log = logging.getLogger(__name__)

NEVER = float("inf")
# When to look after a client that has shut down its side (see `Peer.look_after`); later the sweep does.
LOOK_AFTER_S = (0.04, 0.01, 0.02, 0.04, 0.1, 0.3)
# So much of what a client has sent ahead is worked through before others have their turn.
TURN_STEPS, TURN_BYTES = 32, 16 << 10


class Phase(Enum):
    """What the socket's next byte belongs to."""

    HEAD = 0  # the next request
    BODY = 1  # the current one
    ANSWER = 2  # a later request: the current one has arrived, and is being answered
    LINGER = 3  # nothing: the last answer is on its way
    CLOSED = 4


# Python 3.11 looks a member up ten times faster here than in its class.
_HEAD, _BODY, _ANSWER, _LINGER, _CLOSED = Phase


class Peer(asyncio.Protocol):
    """One client connection. Requests are answered one after the other; what is sent ahead waits, bounded."""

    transport: asyncio.Transport

    def __init__(self, server: "HTTPServer") -> None:
        self.status_lines = server.status_lines
        self.done = server.done
        self.remote_ip = ""
        self._server = server
        self._limits = server.limits
        self._phase = _HEAD
        self._deadline = NEVER  # for the client, on the server's clock
        self._heads = HeadReader(server.limits, server.known_heads)
        self._ahead = bytearray()  # what came in before its turn
        self._reading_paused = False
        self._read_all = False  # the client has shut down its side
        self._pumping = False
        self._gated = False  # the delegate has not yet digested what it got
        self._connection: Connection | None = None
        self._delegate: HTTPMessageDelegate | None = None  # until it has got the whole request
        self._left = 0  # of the body: bytes, or CHUNKED
        self._chunked: ChunkedBody | None = None
        self.writing_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._unsent = 0  # bytes, when the client last took some

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one without being derived from it
        self.transport.set_write_buffer_limits(self._limits.high_water_bytes, self._limits.low_water_bytes)
        peer = transport.get_extra_info("peername")
        if peer:
            # A dual-stack socket shows IPv4 clients in IPv6's form.
            self.remote_ip = str(peer[0]).removeprefix("::ffff:")
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._server.opened(self)
        if self._server.draining:
            self._close()
            return
        self._deadline = self._server.now + self._limits.header_s

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        if self._phase is _LINGER:
            return
        if self._phase is not _ANSWER and not (self._ahead or self._gated or self.writing_paused):
            self._pump(data)
            if self._ahead and self._phase is not _ANSWER:
                asyncio.get_running_loop().call_soon(self._resume)
            return
        self._ahead += data
        if len(self._ahead) >= self._limits.read_ahead_bytes:
            self._reading_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """The client sends no more, but it may still read: a request that is complete gets its answer."""
        self._read_all = True
        if self._phase is _ANSWER:
            self._look_after_soon(0)
            return True
        return self._phase is not _LINGER and bool(self._ahead or self._gated)

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is made."""
        self.writing_paused = True
        self._unsent = sys.maxsize  # the next check sees what it is

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.writing_paused = False
        self._deadline = NEVER
        if self._phase is _HEAD:
            self._deadline = self._server.now + self._limits.keep_alive_s
        elif self._phase is _BODY:
            self._deadline = self._server.now + self._limits.body_s
        elif self._phase is _LINGER:
            self._deadline = self._server.now + self._limits.linger_s
        self._release()
        self._resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """The socket is gone, whoever closed it."""
        self._phase = _CLOSED
        self._ahead.clear()
        if self._connection is not None:
            self._drop(self._connection)
        self._release()
        self._server.closed(self)

    # Reading

    def _pump(self, data: bytes) -> None:
        """Work through ``data`` as far as the current exchange allows; keep the rest."""
        self._pumping = True
        steps = 0
        try:
            while data and steps < TURN_STEPS and not (self._gated or self.writing_paused):
                steps += 1
                if self._phase is _HEAD:
                    data = self._read_head(data)
                elif self._phase is _BODY:
                    data = self._read_body(data)
                else:
                    break
                if data and self.transport.is_closing():
                    return
        except ClientError as exc:
            self._refuse(exc)
        finally:
            self._pumping = False
        if data and self._phase in (_HEAD, _BODY, _ANSWER):
            self._ahead[:0] = data

    def _resume(self) -> None:
        """An exchange or a wait has ended: go on with what came in meanwhile."""
        if self._pumping or self._must_wait() or self._phase in (_LINGER, _CLOSED):
            return
        if self._ahead and self._phase is not _ANSWER:
            data = bytes(self._ahead[:TURN_BYTES])
            del self._ahead[:TURN_BYTES]
            self._pump(data)
        if self._reading_paused and len(self._ahead) < self._limits.read_ahead_bytes:
            self._reading_paused = False
            self.transport.resume_reading()
        if self._phase not in (_HEAD, _BODY) or self._must_wait():
            return
        if self._ahead:
            asyncio.get_running_loop().call_soon(self._resume)
        elif self._read_all:
            self._close()

    def _must_wait(self) -> bool:
        """Whether what comes in has to be kept for later."""
        return self._gated or self.writing_paused

    def _read_head(self, data: bytes) -> bytes:
        had_started = self._heads.started
        complete = self._heads.feed(data)
        if complete is not None:
            head, headers, length, rest = complete
            self._start(head, headers, length)
            return rest
        if not had_started and self._heads.started:
            self._deadline = self._server.now + self._limits.header_s
        return b""

    def _start(self, head: Head, headers: RequestHeaders, length: int) -> None:
        connection = Connection(self, head, self._limits.body_bytes, self._limits.body_s)
        self._connection = connection
        self._left = length
        self._phase = _BODY if length else _ANSWER
        self._deadline = NEVER
        self._server.active_requests += 1
        try:
            delegate = self._delegate = self._server.app.start_request(self, connection)
            wait = delegate.headers_received(head.start_line, headers)
        except Exception as exc:  # noqa: BLE001  whatever the application raises must not harm the others
            self._failed(exc, connection)
            return
        if wait is not None:
            self._gate(wait, self._begin_body)
        elif self._connection is connection:
            self._begin_body()
        if self._read_all:
            self._look_after_soon(0)

    def _begin_body(self) -> None:
        """The delegate knows the head and has not answered yet."""
        connection = self._connection
        assert connection is not None  # noqa: S101  checked by the callers
        if not self._left:
            self._finish()
            return
        if self._left > connection.max_body_bytes:
            self._refuse(refusal(413, "request_too_large", "The request's body is too large."))
            return
        self._chunked = ChunkedBody(connection.max_body_bytes) if self._left == CHUNKED else None
        self._deadline = self._server.now + connection.body_idle_s
        if connection.head.expects_continue:
            connection.invite_body()

    def _read_body(self, data: bytes) -> bytes:
        connection, delegate = self._connection, self._delegate
        assert connection is not None  # noqa: S101  that is what BODY means
        assert delegate is not None  # noqa: S101
        if self._chunked is not None:
            piece = self._chunked.feed(data)
            complete, rest = self._chunked.done, self._chunked.rest
        else:
            piece, rest = (data, b"") if len(data) <= self._left else (data[: self._left], data[self._left :])
            self._left -= len(piece)
            complete = not self._left
        if complete:
            self._phase = _ANSWER
            self._deadline = NEVER
        else:
            self._deadline = self._server.now + connection.body_idle_s
        if piece:
            try:
                wait = delegate.data_received(piece)
            except Exception as exc:  # noqa: BLE001  see _start
                self._failed(exc, connection)
                return b""
            if wait is not None:
                self._gate(wait, self._piece_taken)
                return rest
        if complete and self._connection is connection:
            self._finish()
        return rest

    def _piece_taken(self) -> None:
        if self._phase is _ANSWER:
            self._finish()
        elif self._connection is not None:
            self._deadline = self._server.now + self._connection.body_idle_s

    def _finish(self) -> None:
        """Tell the delegate that the request is complete."""
        connection, delegate = self._connection, self._delegate
        assert delegate is not None  # noqa: S101  only called once per exchange
        self._delegate = None
        try:
            delegate.finish()
        except Exception as exc:  # noqa: BLE001  see _start
            self._failed(exc, connection)

    def _gate(self, wait: Awaitable[None], then: Callable[[], None]) -> None:
        """Read no further before ``wait`` is over."""
        self._gated = True
        self._deadline = NEVER
        tasks.spawn(self._after(wait, then), name="request body")

    async def _after(self, wait: Awaitable[None], then: Callable[[], None]) -> None:
        connection = self._connection
        try:
            await wait
        except Exception as exc:  # noqa: BLE001  see _start
            self._gated = False
            self._failed(exc, connection)
        else:
            self._gated = False
            if connection is self._connection and connection is not None:
                then()
        self._resume()

    # Called by the exchange

    def may_stay_open(self) -> bool:
        """Whether another request can follow the one being answered."""
        return self._phase is _ANSWER and not self._server.draining

    def answered(self, *, keep_alive: bool) -> None:
        """The exchange's last byte has been written."""
        self._connection = self._delegate = self._chunked = None
        self._server.active_requests -= 1
        if not keep_alive or self._server.draining:
            if self._phase is _ANSWER and not self._ahead:
                self._close()
            else:
                self._linger()
            return
        self._phase = _HEAD
        self._deadline = self._server.now + self._limits.keep_alive_s
        if not self._pumping and (self._ahead or self._read_all or self._reading_paused):
            # Not now: the next request is none of the business of the code that has ended this one.
            asyncio.get_running_loop().call_soon(self._resume)

    def aborted(self) -> None:
        """The exchange gives up."""
        self._forget()
        self._phase = _LINGER
        self.transport.abort()

    def drained(self) -> "asyncio.Future[None] | None":
        """None, or what to wait for before the next byte."""
        if not self.writing_paused:
            return None
        if self._drained is None or self._drained.done():
            self._drained = asyncio.get_running_loop().create_future()
        return self._drained

    # Called by the server

    def check(self, now: float) -> None:
        """Close or cut the connection when one of its limits has passed. Called every now and then."""
        if self.writing_paused or self._phase is _LINGER:
            unsent = self.transport.get_write_buffer_size()
            if unsent < self._unsent:
                self._unsent = unsent
                self._deadline = now + (self._limits.write_s if unsent else self._limits.linger_s)
        if now >= self._deadline:
            self._expire()
        elif (self._read_all or self._reading_paused) and self._is_broken():
            self.transport.abort()

    def retire(self) -> None:
        """The server stops: leave at once if no request is under way."""
        if self._phase is _HEAD and not self._heads.started and not self._ahead:
            self._close()

    def _expire(self) -> None:
        if self.writing_paused or self._phase is _LINGER:
            self.transport.abort()
        elif self._phase is _BODY or self._heads.started:
            self._refuse(refusal(408, "request_timeout", "The request took too long to arrive."))
        else:
            self._close()

    # Ending

    def _refuse(self, error: GatewayError) -> None:
        """Answer in the application's place, and take no more requests."""
        connection = self._connection
        begun = connection is not None and connection.state is BEGUN
        self._linger(shut=False)
        if connection is not None:
            self._drop(connection)
        if begun:
            self.transport.abort()
            return
        body = error_body(error)
        self.transport.write(
            b"%bContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (self.status_lines.for_status(error.status), len(body), body)
        )
        self._shut()

    def _failed(self, exc: Exception, connection: Connection | None) -> None:
        """The application has raised while it worked for ``connection``."""
        still_open = connection is not None and connection is self._connection
        if isinstance(exc, HTTPInputError) and still_open:
            self._refuse(refusal(400, "bad_request", "The request is malformed."))
            return
        log.error("request failed", exc_info=exc)
        if still_open:
            self._refuse(GatewayError("Internal server error.", status=500, code="internal_error"))

    def _drop(self, connection: Connection) -> None:
        """End an exchange that the application has not ended, and tell it."""
        delegate = self._delegate
        tell = connection.close_callback if delegate is None else delegate.on_connection_close
        connection.state = ENDED
        connection.close_callback = None
        self._forget()
        if tell is not None:
            try:
                tell()
            except Exception:
                log.exception("close callback failed")

    def _forget(self) -> None:
        self._connection = self._delegate = self._chunked = None
        self._server.active_requests -= 1

    def _release(self) -> None:
        """Whoever waits for the client to read need not wait any more."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def _linger(self, *, shut: bool = True) -> None:
        """Let the client finish writing, or it may be told of a reset before it has read the answer."""
        self._phase = _LINGER
        self._deadline = self._server.now + self._limits.linger_s
        self._unsent = sys.maxsize  # the next check sees what it is
        self._ahead.clear()
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()
        if shut:
            self._shut()

    def _shut(self) -> None:
        if self._read_all:
            self.transport.close()
        else:
            self.transport.write_eof()

    def _close(self) -> None:
        """Close as soon as everything has been sent."""
        self._phase = _LINGER
        self._deadline = self._server.now + self._limits.linger_s
        self._unsent = sys.maxsize  # the next check sees what it is
        self.transport.close()

    # A client that has shut down its side may have left, or just have nothing more to say. Only a reset
    # tells; it comes only for bytes that we send, and the loop no longer watches a socket read to its end.

    def _look_after_soon(self, attempt: int) -> None:
        asyncio.get_running_loop().call_later(
            LOOK_AFTER_S[attempt], self.look_after, self._connection, attempt
        )

    def look_after(self, connection: Connection | None, attempt: int) -> None:
        """Find out whether the client of ``connection`` is still there."""
        if connection is None or self._connection is not connection:
            return
        if attempt == 0:
            connection.probe()
        elif self._is_broken():
            self.transport.abort()
            return
        if attempt + 1 < len(LOOK_AFTER_S):
            self._look_after_soon(attempt + 1)

    def _is_broken(self) -> bool:
        opened = self.transport.get_extra_info("socket")
        try:
            return opened is None or opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
        except OSError:
            return True
