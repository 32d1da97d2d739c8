"""One answer: its head, and its body as it arrives.

The connection pushes into a ``Response`` (the methods that say "for the connection"), its reader pulls.
Between them is a buffer with a high-water mark: a reader that stalls stops the socket, so memory stays flat.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from oneapi.errors import UpstreamError
from oneapi.upstream import failures
from oneapi.upstream.inflate import Inflater, make_inflater
from oneapi.wire import HeaderList

if TYPE_CHECKING:
    from oneapi.upstream.connection import Connection

HIGH_WATER_BYTES = 256 * 1024
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


class Response:
    """The upstream's answer. Whoever got it must ``close`` it; reading to the end does so too.

    ``headers`` have lower-case names, in order, duplicates kept. When the body is decoded here,
    ``content-encoding`` and ``content-length`` are left out: they do not describe what ``read`` gives.
    """

    __slots__ = (
        "_complete",
        "_connection",
        "_decode",
        "_error",
        "_inflater",
        "_pieces",
        "_size",
        "_timeouts",
        "_total_deadline",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(self, timeouts: Timeouts, *, decode: bool) -> None:
        self.status = 0  # 0 until the head has arrived
        self.headers: HeaderList = ()
        self._timeouts = timeouts
        self._total_deadline = monotonic() + timeouts.total_s if timeouts.total_s else math.inf
        self._decode = decode
        self._inflater: Inflater | None = None
        self._connection: Connection | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._complete = False
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def header(self, name: str) -> str:
        """The first value of ``name`` (lower-case), or ``""``."""
        for key, value in self.headers:
            if key == name:
                return value
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

    def close(self) -> None:
        """Give the answer up. An unfinished one closes its socket, which is how an upstream sees a cancel."""
        connection = self._connection
        if connection is not None:
            self.failed(failures.network("the answer was given up before its end"))
            connection.give_up()
        self._pieces.clear()
        self._size = 0
        self._inflater = None

    async def send_rest(self, rest: memoryview) -> None:
        """Write what is left of the request, then wait for the head. Cancelling closes the socket.

        An answer that refuses the request before all of it was sent ends the sending.
        """
        while rest and self.status < 300 and not self._complete:
            connection = self._connection
            if connection is None or connection.write_paused:
                await self._wait(self._timeouts.idle_s)
                continue
            connection.write(rest[:_SLICE_BYTES], last=len(rest) <= _SLICE_BYTES)
            rest = rest[_SLICE_BYTES:]
        while not self.status:
            await self._wait(self._timeouts.first_byte_s)

    # -- for the connection ------------------------------------------------------

    def attach(self, connection: Connection) -> None:
        """For the connection: the request goes out on it."""
        self._connection = connection
        connection.deadline = self._total_deadline

    def head_received(self, status: int, headers: list[tuple[str, str]], coding: str) -> None:
        """For the connection: the final head is here; ``coding`` is its Content-Encoding."""
        if coding and self._decode:
            self._inflater = make_inflater(coding)
            if self._inflater is not None:
                headers = [header for header in headers if header[0] not in _OF_THE_CODED_BODY]
        self.headers = tuple(headers)
        self.status = status

    def body_received(self, data: bytes) -> bool:
        """For the connection: True asks it to stop reading for now."""
        self._pieces.append(data)
        self._size += len(data)
        return self._size > HIGH_WATER_BYTES

    def completed(self) -> None:
        """For the connection: the body is whole, the connection free again."""
        self._complete = True
        self._connection = None

    def failed(self, error: UpstreamError) -> None:
        """For the connection: it is gone; what has arrived can still be read."""
        if self._error is None:
            self._error = error
        self._connection = None
        self.wake()

    def wake(self) -> None:
        """For the connection: something has changed."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ----------------------------------------------------------------

    def _take(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._size = 0
        if self._connection is not None:
            self._connection.resume()
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
        connection = self._connection
        if connection is None:
            raise self._error or failures.network("the answer was given up before its end")
        connection.deadline = min(monotonic() + limit_s, self._total_deadline)
        self._waiter = connection.loop.create_future()
        try:
            await self._waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None
            if self._connection is not None:
                connection.deadline = self._total_deadline


_OF_THE_CODED_BODY = frozenset({"content-encoding", "content-length"})
