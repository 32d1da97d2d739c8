"""New connections: look up, connect, ask the proxy, TLS."""

import asyncio
import socket
import ssl
from collections.abc import Callable

from oneapi.upstream import failures, proxies, tls
from oneapi.upstream.connection import Connection
from oneapi.upstream.proxies import Proxy, Talk
from oneapi.upstream.resolver import Resolver
from oneapi.upstream.target import Target

_PER_ADDRESS_S = 2.0  # when there is another address to try
_PROBE_S = 30


class Dialer:
    """Opens connections. Every failure is an UpstreamError."""

    def __init__(self, resolver: Resolver, ssl_context: ssl.SSLContext | None) -> None:
        self._resolver = resolver
        self._ssl_context = ssl_context

    async def dial(
        self, target: Target, proxy: Proxy | None, *, limit_s: float, make: Callable[[], Connection]
    ) -> Connection:
        """A connection over which ``target`` can be asked at once. Cancelling leaves no socket behind."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._dial(target, proxy, make())
        except OSError as exc:  # TimeoutError and SSLError are among them
            raise failures.not_connected(exc) from exc

    async def _dial(self, target: Target, proxy: Proxy | None, connection: Connection) -> Connection:
        # Connected and asked as a plain transport, which is then handed over: a socket of our own given to
        # ``create_connection`` has two owners in uvloop when that is cancelled, and one closes the other's
        # descriptor.
        context = await self._context() if target.scheme == "https" else None
        transport, talk = await self._connect(proxy or target)
        try:
            # A plain request is handed to an HTTP proxy as it is; everything else goes through a tunnel.
            if proxy is not None and (context is not None or proxy.scheme != "http"):
                await proxies.tunnel(talk, proxy, target.host, target.port)
            talk.end()
            if context is not None:
                transport = await _start_tls(transport, connection, context, target.host)
            else:
                transport.set_protocol(connection)
            connection.connection_made(transport)
        except BaseException:
            transport.abort()
            raise
        return connection

    async def _connect(self, peer: Target | Proxy) -> tuple[asyncio.Transport, Talk]:
        addresses = tuple(await self._resolver.addresses(peer.host, peer.port))
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for address in addresses:
            limit_s = None if address is addresses[-1] else _PER_ADDRESS_S
            try:
                async with asyncio.timeout(limit_s):
                    transport, talk = await loop.create_connection(Talk, address, peer.port)
            except OSError as exc:
                failure = exc
            else:
                self._resolver.prefer(peer.host, peer.port, address)
                _keep_alive(transport.get_extra_info("socket"))
                return transport, talk
        self._resolver.forget(peer.host, peer.port)
        raise failure or OSError("the name has no address")

    async def _context(self) -> ssl.SSLContext:
        """The shared context, made at the first need: loading the roots takes tens of milliseconds."""
        if self._ssl_context is None:
            self._ssl_context = await asyncio.get_running_loop().run_in_executor(None, tls.default_context)
        return self._ssl_context


async def _start_tls(
    transport: asyncio.Transport, connection: Connection, context: ssl.SSLContext, host: str
) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    secure = await loop.start_tls(transport, connection, context, server_hostname=host)
    if secure is None:  # asyncio's way to say that the transport was closed meanwhile
        raise ConnectionResetError
    return secure


def _keep_alive(sock: socket.socket) -> None:
    """A model may think for minutes without sending a byte, and a home router forgets silent connections."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), _PROBE_S)
