"""HTTP and SOCKS5 proxies: which one serves a host, and how it is asked for a connection.

Names are looked up by the proxy, always. A proxy's URL may hold a password, so no error here quotes it.
"""

import asyncio
import ipaddress
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast
from urllib.parse import unquote, urlsplit

from oneapi.upstream import failures
from oneapi.upstream.target import ascii_host

_DEFAULT_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}
_ANSWER_BYTES = 16 * 1024
_SOCKS_REFUSALS = {
    1: "general failure",
    2: "not allowed",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "timed out",
    7: "command not supported",
    8: "address type not supported",
}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A parsed proxy URL."""

    scheme: str  # "http" or "socks5"
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def authorization(self) -> str:
        """The value of Proxy-Authorization, or ``""``."""
        if not self.username:
            return ""
        return "Basic " + b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class ProxyRules:
    """Which proxy URL serves which target; ``""`` is none. ``bypass`` is split from a NO_PROXY list."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    bypass: tuple[str, ...] = ()

    def choose(self, scheme: str, host: str, port: int) -> str:
        """The proxy's URL for a target, or ``""`` to go direct."""
        proxy = self.https if scheme == "https" else self.http
        return "" if not proxy or bypasses(host, port, self.bypass) else proxy


def bypasses(host: str, port: int, rules: Sequence[str]) -> bool:
    """Whether a NO_PROXY list names ``host``: ``*``, a domain (with its subdomains), an address, a network.

    ``.example.com`` and ``*.example.com`` name the subdomains only; a rule may end in ``:port``.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    return any(_matches(rule.strip().lower(), host.lower().rstrip("."), port, address) for rule in rules)


def _matches(
    rule: str, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None
) -> bool:
    if rule in ("", "*"):
        return rule == "*"
    name, colon, rule_port = rule.rpartition(":")
    if colon and rule_port.isdigit() and (":" not in name or name.endswith("]")):
        if int(rule_port) != port:
            return False
        rule = name
    rule = rule.strip("[]")
    if address is not None:
        try:
            return address in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return False
    domain = rule.removeprefix("*").lstrip(".")
    return host.endswith("." + domain) or host == rule


@lru_cache(maxsize=256)
def parse(url: str) -> Proxy:
    """The proxy of ``http://`` or ``socks5://[user:password@]host[:port]``. Raises UpstreamError."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        default = _DEFAULT_PORTS[parts.scheme]
        port = parts.port or default
        host = ascii_host(parts.hostname or "")
    except (ValueError, KeyError):
        raise failures.network(
            "the proxy's address is not valid: use http:// or socks5://host:port"
        ) from None
    return Proxy(
        scheme="http" if parts.scheme == "http" else "socks5",
        host=host,
        port=port,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


class Talk(asyncio.Protocol):
    """A plain conversation before the connection proper begins."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._heard = bytearray()
        self._left = False
        self._waiter: asyncio.Future[None] | None = None

    def say(self, data: bytes) -> None:
        """Send ``data``."""
        if self._transport is not None:
            self._transport.write(data)

    async def hear(self, size: int) -> bytes:
        """Exactly ``size`` bytes. Raises UpstreamError when the peer closes first."""
        while len(self._heard) < size:
            await self._more()
        data = bytes(self._heard[:size])
        del self._heard[:size]
        return data

    async def hear_until(self, mark: bytes) -> bytes:
        """All bytes up to and with ``mark``."""
        while (end := self._heard.find(mark)) < 0 and len(self._heard) < _ANSWER_BYTES:
            await self._more()
        return await self.hear(end + len(mark)) if end >= 0 else b""

    def end(self) -> None:
        """Raise UpstreamError when the peer has closed, or said something that was not asked for."""
        if self._heard or self._left:
            raise failures.network("the upstream could not be reached: the connection was closed")

    async def _more(self) -> None:
        if self._left:
            raise failures.network("the proxy closed the connection")
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes from the peer."""
        self._heard += data
        self._wake()

    def eof_received(self) -> None:
        """asyncio: the peer closed its side; returning None closes ours."""
        self._left = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """asyncio: the socket is closed."""
        self._left = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def tunnel(talk: Talk, proxy: Proxy, host: str, port: int) -> None:
    """Have ``proxy``, at the other end of ``talk``, connect on to ``host``. Raises UpstreamError."""
    if proxy.scheme == "http":
        await _connect_method(talk, proxy, host, port)
    else:
        await _socks5(talk, proxy, host, port)


async def _connect_method(talk: Talk, proxy: Proxy, host: str, port: int) -> None:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    talk.say("\r\n".join([*lines, "", ""]).encode("ascii"))
    answer = await talk.hear_until(b"\r\n\r\n")
    version, _, rest = answer.partition(b" ")
    status = rest[:3].decode("latin-1")
    if not version.startswith(b"HTTP/1.") or not status.isdigit():
        raise failures.network("the proxy did not speak HTTP")
    if not status.startswith("2"):
        raise failures.network(f"the proxy refused to connect: HTTP status {status}")


async def _socks5(talk: Talk, proxy: Proxy, host: str, port: int) -> None:
    """RFC 1928, with the name and password of RFC 1929."""
    talk.say(b"\x05\x02\x00\x02" if proxy.username else b"\x05\x01\x00")
    version, method = await talk.hear(2)
    if version != 5:
        raise failures.network("the proxy did not speak SOCKS5")
    if method == 2 and proxy.username:
        name, password = proxy.username.encode()[:255], proxy.password.encode()[:255]
        talk.say(b"\x01%c%b%c%b" % (len(name), name, len(password), password))
        if (await talk.hear(2))[1] != 0:
            raise failures.network("the proxy refused its user name and password")
    elif method != 0:
        raise failures.network("the proxy wants a way to log in that we do not have")
    talk.say(b"\x05\x01\x00" + _socks_address(host) + port.to_bytes(2, "big"))
    _, refusal, _, kind = await talk.hear(4)
    if refusal:
        why = _SOCKS_REFUSALS.get(refusal, "unknown reason")
        raise failures.network(f"the proxy could not connect to the upstream: {why}")
    length = {1: 4, 4: 16}.get(kind) or (await talk.hear(1))[0]
    await talk.hear(length + 2)


def _socks_address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        return b"\x03%c%b" % (len(name), name)
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed
