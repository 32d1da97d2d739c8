"""Fetching URLs that users give (image_url): never a way into the network that the gateway stands in.

The name is looked up once, the addresses are checked, and the connection goes to a checked address; Host and
SNI stay the name. So a name that changes its address between check and use gains nothing.
"""

import asyncio
import ipaddress
import socket
from urllib.parse import urljoin, urlsplit

from oneapi.errors import ClientError, Failure, UpstreamError
from oneapi.upstream import target
from oneapi.upstream.client import Client
from oneapi.upstream.proxies import ProxyRules
from oneapi.upstream.resolver import Resolver
from oneapi.wire import UpstreamRequest

_REDIRECTS = 3
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_WHY = {
    Failure.NETWORK: "its server could not be reached or broke off",
    Failure.TIMEOUT: "its server did not answer in time",
}
_IP = ipaddress.IPv4Address | ipaddress.IPv6Address


class GuardedFetch:
    """Fetches http and https URLs; addresses that are not public are refused unless ``allow_private``.

    Through a ``proxy`` names are the proxy's to look up: then only addresses written as such can be refused.
    """

    def __init__(self, *, allow_private: bool = False, proxy: str = "") -> None:
        self._allow_private = allow_private
        self._proxied = bool(proxy)
        self._client = Client(
            proxy_rules=ProxyRules(http=proxy, https=proxy),
            resolver=Resolver() if allow_private or proxy else _PublicResolver(),
        )

    async def fetch(self, url: str, *, max_bytes: int, timeout_s: float) -> tuple[str, bytes]:
        """The Content-Type (``""`` when there is none) and the body. Raises ClientError."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._follow(url, max_bytes)
        except TimeoutError:
            raise _failed("it took too long") from None
        except UpstreamError as exc:
            raise _failed(_WHY.get(exc.failure, "its server gave an answer that is not valid")) from exc

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _follow(self, url: str, max_bytes: int) -> tuple[str, bytes]:
        for _ in range(_REDIRECTS + 1):
            self._check(url)
            response = await self._client.send(UpstreamRequest("GET", url, (("Accept", "*/*"),)))
            try:
                if response.status not in _REDIRECT_STATUSES:
                    if response.status != 200:
                        raise _failed(f"its server answered with status {response.status}")
                    body = bytearray()
                    while piece := await response.piece():
                        body += piece
                        if len(body) > max_bytes:
                            raise _failed(f"it is larger than {max_bytes} bytes")
                    return response.header("content-type"), bytes(body)
                url = _joined(url, response.header("location"))
            finally:
                response.close()
        raise _failed("there are too many redirects")

    def _check(self, url: str) -> None:
        try:
            scheme = urlsplit(url).scheme
            host = target.parse(url).host if scheme in ("http", "https") else None
        except (ValueError, UpstreamError):
            host = None
        if host is None:
            raise _failed("it is not a valid http or https URL")
        if self._proxied and not self._allow_private and not _may_be_public(host):
            raise _forbidden()


class _PublicResolver(Resolver):
    async def addresses(self, host: str, port: int) -> list[str]:
        found = await super().addresses(host, port)
        public = [address for address in found if is_public(address)]
        if not public:
            raise _forbidden()
        return public


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def is_public(address: str) -> bool:
    """Whether ``address`` is one of the open internet; one that wraps an IPv4 address is judged by that."""
    ip = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    if isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local:
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _unwrapped(ip: _IP) -> _IP:
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _may_be_public(host: str) -> bool:
    """What can be said of a host without looking it up."""
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        # inet_aton knows the other spellings of an address that look-ups take: 2130706433, 0x7f.1, 0177.0.0.1
        return is_public(host if ":" in host else socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        return True


def _forbidden() -> ClientError:
    return _failed("its address is not on the public internet")


def _failed(why: str) -> ClientError:
    return ClientError(f"the given URL could not be fetched: {why}")
