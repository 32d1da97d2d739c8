"""New connections: look up, connect, ask the proxy, TLS."""

import asyncio
import socket
import ssl
from collections.abc import Callable

from oneapi.upstream import failures, proxies, tls
from oneapi.upstream.connection import Connection
from oneapi.upstream.proxies import Proxy
from oneapi.upstream.resolver import Address, Resolver
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
                return await self._dial(target, proxy, make)
        except OSError as exc:  # TimeoutError and SSLError are among them
            raise failures.not_connected(exc) from exc

    async def _dial(self, target: Target, proxy: Proxy | None, make: Callable[[], Connection]) -> Connection:
        context = await self._context() if target.scheme == "https" else None
        sock = await self._connect(proxy or target)
        try:
            # A plain request is handed to an HTTP proxy as it is; everything else goes through a tunnel.
            if proxy is not None and (context is not None or proxy.scheme != "http"):
                await proxies.tunnel(sock, proxy, target.host, target.port)
        except BaseException:
            sock.close()
            raise
        _, connection = await asyncio.get_running_loop().create_connection(
            make, sock=sock, ssl=context, server_hostname=target.host if context is not None else None
        )
        return connection

    async def _connect(self, peer: Target | Proxy) -> socket.socket:
        addresses = await self._resolver.addresses(peer.host, peer.port)
        failure: OSError | None = None
        for address in tuple(addresses):
            last = address == addresses[-1]
            try:
                async with asyncio.timeout(None if last else _PER_ADDRESS_S):
                    sock = await _open(address)
            except OSError as exc:
                failure = exc
            else:
                self._resolver.prefer(peer.host, peer.port, address)
                return sock
        self._resolver.forget(peer.host, peer.port)
        raise failure or OSError("no address")

    async def _context(self) -> ssl.SSLContext:
        """The shared context, made at the first need: loading the roots takes tens of milliseconds."""
        if self._ssl_context is None:
            self._ssl_context = await asyncio.get_running_loop().run_in_executor(None, tls.default_context)
        return self._ssl_context


async def _open(address: Address) -> socket.socket:
    family, sockaddr = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A model may think for minutes without sending a byte; a home router forgets the silent connection.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), _PROBE_S)
        await asyncio.get_running_loop().sock_connect(sock, sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock
