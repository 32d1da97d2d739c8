"""The open connections: which of them are idle, and the one timer that watches all their deadlines."""

import asyncio
from time import monotonic

from oneapi.upstream.connection import Connection

Key = tuple[str, str]  # origin, and the proxy's URL or ""


class Pool:
    """Connections by origin and proxy. The last one freed is used first, so that the others can expire."""

    def __init__(self, *, idle_s: float, idle_per_origin: int, sweep_s: float, trusted_s: float) -> None:
        self.idle_s = idle_s
        self.trusted_s = trusted_s
        self.open: set[Connection] = set()
        self._idle: dict[Key, list[Connection]] = {}
        self._idle_per_origin = idle_per_origin
        self._sweep_s = sweep_s
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._all_closed: asyncio.Future[None] | None = None

    def take(self, key: Key) -> Connection | None:
        """A connection that can be used at once, or None."""
        idle = self._idle.get(key)
        while idle:
            connection = idle.pop()
            if connection.is_usable():
                return connection
            connection.give_up()
        return None

    @property
    def idle_count(self) -> int:
        """How many connections wait for their next exchange."""
        return sum(map(len, self._idle.values()))

    async def close(self) -> None:
        """Close all connections, also busy ones, and wait until their sockets are gone."""
        self._closing = True
        for connection in list(self.open):
            connection.shut_down()
        if self.open:
            self._all_closed = asyncio.get_running_loop().create_future()
            await self._all_closed
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- for the connections ------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """For a connection: its socket is ready."""
        self.open.add(connection)
        if self._closing:
            connection.give_up()
        elif self._timer is None:
            self._timer = connection.loop.call_later(self._sweep_s, self._sweep)

    def freed(self, connection: Connection) -> None:
        """For a connection: its exchange is over."""
        idle = self._idle.get(connection.key)
        if idle is None:
            idle = self._idle[connection.key] = []
        idle.append(connection)
        if len(idle) > self._idle_per_origin:
            idle.pop(0).give_up()

    def closed(self, connection: Connection) -> None:
        """For a connection: its socket is gone."""
        self.open.discard(connection)
        idle = self._idle.get(connection.key)
        if idle is not None and connection in idle:
            idle.remove(connection)
        if idle is not None and not idle:
            del self._idle[connection.key]
        if self._all_closed is not None and not self.open and not self._all_closed.done():
            self._all_closed.set_result(None)

    def _sweep(self) -> None:
        """Expire what is past its deadline. One timer for all: a timer per wait costs more than the wait."""
        now = monotonic()
        for connection in [each for each in self.open if each.deadline <= now]:
            connection.expire()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._sweep_s, self._sweep) if self.open else None
