"""The listening socket, its connections, and their end."""

import asyncio
import socket

from tornado.httputil import HTTPServerConnectionDelegate

from oneapi.server.limits import Limits
from oneapi.server.peer import Peer
from oneapi.server.request import KnownHeads
from oneapi.server.response import StatusLines

_BACKLOG = 1024


class HTTPServer:
    """Serves ``app``: a ``tornado.web.Application``, a router, or any ``HTTPServerConnectionDelegate``.

    `open_connections` and `active_requests` are for those who look for leaks.
    """

    done: "asyncio.Future[None]"  # resolved: what Tornado's write methods return when nobody has to wait

    def __init__(self, app: HTTPServerConnectionDelegate, *, limits: Limits | None = None) -> None:
        self.app = app
        self.limits = limits or Limits()
        self.status_lines = StatusLines()
        self.known_heads: KnownHeads = {}
        self.draining = False
        self.active_requests = 0
        self.now = 0.0  # the loop's time at the last sweep: exact enough for limits, and free
        # One coarse sweep over the connections instead of a timer for each.
        shortest = min(
            self.limits.header_s, self.limits.body_s, self.limits.keep_alive_s, self.limits.write_s
        )
        self._sweep_s = min(1.0, shortest / 4)
        self._sweeping: asyncio.TimerHandle | None = None
        self._peers: set[Peer] = set()
        self._empty: asyncio.Future[None] | None = None
        self._listener: asyncio.Server | None = None
        self.port = 0

    @property
    def open_connections(self) -> int:
        """Sockets of clients, idle ones too."""
        return len(self._peers)

    @property
    def url(self) -> str:
        """Where a client on this machine finds the server, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, address: str, port: int) -> int:
        """Listen; the port, which the system chooses when ``port`` is 0. Raises OSError.

        ``address`` "" means all of them, IPv6 and IPv4.
        """
        loop = asyncio.get_running_loop()
        self.done = loop.create_future()
        self.done.set_result(None)
        dual = not address and socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual or ":" in address else socket.AF_INET
        listening = socket.create_server(
            (address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=dual
        )
        self._listener = await loop.create_server(lambda: Peer(self), sock=listening, backlog=_BACKLOG)
        self.port = listening.getsockname()[1]
        return self.port

    async def stop(self, drain_s: float) -> None:
        """Accept no more, close idle connections, and cut what has not ended after ``drain_s``."""
        self.draining = True
        if self._listener is not None:
            self._listener.close()
        for peer in list(self._peers):
            peer.retire()
        if self._peers:
            self._empty = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._empty], timeout=drain_s)
            for peer in list(self._peers):
                peer.transport.abort()
            await self._empty
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    # Called by the connections

    def opened(self, peer: Peer) -> None:
        """A client has connected."""
        self._peers.add(peer)
        if self._sweeping is None:
            self._sweep()

    def closed(self, peer: Peer) -> None:
        """A client's socket is gone."""
        self._peers.discard(peer)
        self.app.on_close(peer)
        if not self._peers and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        for peer in list(self._peers):
            peer.check(self.now)
        self._sweeping = loop.call_later(self._sweep_s, self._sweep) if self._peers else None
