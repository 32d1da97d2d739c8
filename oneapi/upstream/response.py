"""One answer: its head, and its body as it arrives.

The connection pushes into a ``Response`` (the methods that say "for the connection"), its reader pulls.
Between them is a buffer with a high-water mark: a reader that stalls stops the socket, so memory stays flat.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from oneapi.errors import UpstreamError
from oneapi.upstream import failures
from oneapi.upstream.inflate import Inflater, make_inflater
from oneapi.wire import HeaderList

if TYPE_CHECKING:
    from oneapi.upstream.connection import Connection

HIGH_WATER_BYTES = 256 * 1024
_NEVER = math.inf
_SLICE_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits on waiting, in seconds. ``first_byte_s`` counts from the end of the request to the head.

    ``idle_s`` limits the silence between two pieces, and a stall while a large request is sent. ``total_s``
    limits everything from ``send`` to the end of the body; 0 is no limit.
    """

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0
    total_s: float = 0.0


class Sink(Protocol):
    """Where `Response.pour` puts a body."""

    @property
    def done(self) -> bool:
        """It wants no more."""

    def take(self, piece: bytes) -> Awaitable[None] | None:
        """Use ``piece``, which is not empty. None: go on; else something to await before the next call."""


class Response:
    """The upstream's answer. Whoever got it must ``close`` it; reading to the end does so too.

    ``headers`` have lower-case names, in order, duplicates kept. When the body is decoded here,
    ``content-encoding`` and ``content-length`` are left out: they do not describe what ``read`` gives.
    """

    __slots__ = (
        "_complete",
        "_decode",
        "_error",
        "_headers",
        "_inflater",
        "_names",
        "_pieces",
        "_sink",
        "_sink_error",
        "_sink_wait",
        "_size",
        "_timeouts",
        "_total_deadline",
        "_values",
        "_waiter",
        "connection",
        "status",
    )

    def __init__(self, timeouts: Timeouts, decode: bool) -> None:  # noqa: FBT001  hot
        self.status = 0  # 0 until the head has arrived
        self.connection: Connection | None = None  # set by it when the request goes out
        self._timeouts = timeouts
        self._total_deadline = monotonic() + timeouts.total_s if timeouts.total_s else _NEVER
        self._decode = decode
        self._names: tuple[str, ...] = ()
        self._values: list[bytes] = []
        self._headers: HeaderList | None = None
        self._inflater: Inflater | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._complete = False
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Sink | None = None  # while ``pour`` sleeps
        self._sink_error: Exception | None = None
        self._sink_wait: Awaitable[None] | None = None

    @property
    def headers(self) -> HeaderList:
        """The head's fields. Decoded when somebody asks: most answers are judged by their type alone."""
        headers = self._headers
        if headers is None:
            # A line end cannot be in a field: all of them are decoded in one step.
            values = b"\n".join(self._values).decode("latin-1").split("\n")
            headers = self._headers = tuple(zip(self._names, values, strict=True)) if self._names else ()
        return headers

    def header(self, name: str) -> str:
        """The first value of ``name`` (lower-case), or ``""``."""
        if name in self._names:
            return self._values[self._names.index(name)].decode("latin-1")
        return ""

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body, decoded. Raises UpstreamError, also when it is larger than ``limit_bytes``."""
        if self._complete and self._inflater is None and self._size <= limit_bytes:
            return self._take()  # nearly always: the body came with the head
        piece = await self.piece()
        pieces = [piece]
        size = len(piece)
        while piece and size <= limit_bytes:
            piece = await self.piece()
            pieces.append(piece)
            size += len(piece)
        if size > limit_bytes:
            self.close()
            raise failures.protocol("the upstream's answer is larger than the limit")
        return pieces[0] if len(pieces) <= 2 else b"".join(pieces)

    async def piece(self) -> bytes:
        """All of the body that has arrived since the last call, decoded; ``b""`` at its end.

        Waits for at least one byte. Raises UpstreamError when the answer breaks off.
        """
        while True:
            if self._inflater is not None:
                if data := self._inflated(self._inflater):
                    return data
            elif self._size:
                return self._take()
            if self._complete:
                return b""
            await self._wait(self._timeouts.idle_s)

    async def pour(self, sink: Sink) -> None:
        """Give the body to ``sink`` as it arrives, until it ends or the sink is done.

        Pieces go from the socket to the sink without a switch to the task that awaits this: it only sleeps
        until there is something to wait for, an error or the end. Raises UpstreamError when the answer breaks
        off, and what the sink raises.
        """
        while not sink.done and (piece := await self.piece()):
            wait = sink.take(piece)
            if wait is not None:
                await wait
            await self._pour_on(sink)

    async def _pour_on(self, sink: Sink) -> None:
        """Let ``arrived`` feed the sink until that needs this task, if there is nothing to do at once."""
        if sink.done or self._inflater is not None or self._size or self._complete:
            return
        self._sink = sink
        try:
            await self._wait(self._timeouts.idle_s)
        finally:
            self._sink = None
        if self._sink_error is not None:
            raise self._sink_error
        wait, self._sink_wait = self._sink_wait, None
        if wait is not None:
            await wait

    def close(self) -> None:
        """Give the answer up. An unfinished one closes its socket, which is how an upstream sees a cancel."""
        connection = self.connection
        if connection is not None:
            self.failed(failures.network("the answer was given up before its end"))
            connection.give_up()
        if self._size:
            self._pieces = []
            self._size = 0
        self._inflater = None

    async def send_rest(self, rest: memoryview) -> None:
        """Write what is left of the request. Cancelling closes the socket.

        An answer that refuses the request before all of it was sent ends the sending.
        """
        while rest and self.status < 300 and not self._complete:
            connection = self.connection
            if connection is None or connection.write_paused:
                await self._wait(self._timeouts.idle_s)
                continue
            connection.write(rest[:_SLICE_BYTES], last=len(rest) <= _SLICE_BYTES)
            rest = rest[_SLICE_BYTES:]

    def waiter(self, limit_s: float) -> asyncio.Future[None]:
        """Done when something has changed; who is cancelled while it waits has to ``close``.

        Raises UpstreamError when the connection is gone.
        """
        connection = self.connection
        if connection is None:
            raise self._error or failures.network("the answer was given up before its end")
        deadline = monotonic() + limit_s
        connection.deadline = deadline if deadline < self._total_deadline else self._total_deadline
        waiter = self._waiter = connection.loop.create_future()
        return waiter

    # -- for the connection ------------------------------------------------------

    def head_received(self, status: int, names: tuple[str, ...], values: list[bytes], coding: str) -> None:
        """For the connection: the final head is here; ``coding`` is its Content-Encoding."""
        if coding and self._decode:
            self._inflater = make_inflater(coding)
            if self._inflater is not None:
                kept = [at for at, name in enumerate(names) if name not in _OF_THE_CODED_BODY]
                names = tuple(names[at] for at in kept)
                values = [values[at] for at in kept]
        self._names = names
        self._values = values
        self.status = status

    def body_received(self, data: bytes) -> bool:
        """For the connection: True asks it to stop reading for now."""
        self._pieces.append(data)
        self._size += len(data)
        return self._size > HIGH_WATER_BYTES

    def completed(self) -> None:
        """For the connection: the body is whole, the connection free again."""
        self._complete = True
        self.connection = None

    def failed(self, error: UpstreamError) -> None:
        """For the connection: it is gone; what has arrived can still be read."""
        if self._error is None:
            self._error = error
        self.connection = None
        self.wake()

    def arrived(self) -> None:
        """For the connection: all that came of the body in one read has been handed over."""
        sink, connection = self._sink, self.connection
        if sink is None or connection is None:
            self.wake()
            return
        deadline = monotonic() + self._timeouts.idle_s
        connection.deadline = deadline if deadline < self._total_deadline else self._total_deadline
        try:
            self._sink_wait = sink.take(self._take())
            if self._sink_wait is None and not sink.done:
                return
        except Exception as exc:  # noqa: BLE001  whatever it is belongs to the task that waits
            self._sink_error = exc
        self._sink = None
        self.wake()

    def wake(self) -> None:
        """For the connection: something has changed."""
        waiter = self._waiter
        if waiter is None:
            return
        self._waiter = None
        if not waiter.done():
            waiter.set_result(None)
        if self.connection is not None:  # a reader that has something to do has no limit on it
            self.connection.deadline = self._total_deadline

    # ----------------------------------------------------------------

    def _take(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._size = 0
        if self.connection is not None:
            self.connection.resume()
        return data

    def _inflated(self, inflater: Inflater) -> bytes:
        """The next decoded bytes; ``b""`` when there are none before more input arrives, or at the end."""
        try:
            while inflater.pending or self._size:
                if data := inflater.inflate(b"" if inflater.pending else self._take()):
                    return data
            if self._complete:
                inflater.finish()
        except UpstreamError:
            self.close()
            raise
        return b""

    async def _wait(self, limit_s: float) -> None:
        """Wait until the connection wakes us. Raises UpstreamError when it is gone."""
        waiter = self.waiter(limit_s)
        try:
            await waiter
        except BaseException:
            self.close()
            raise


_OF_THE_CODED_BODY = frozenset({"content-encoding", "content-length"})
