"""The outbound HTTP client: pooled HTTP/1.1 connections over asyncio protocols and llhttp."""

import asyncio
import ssl

from oneapi.upstream import proxies, target
from oneapi.upstream.connection import Connection
from oneapi.upstream.dial import Dialer
from oneapi.upstream.pool import Key, Pool
from oneapi.upstream.proxies import Proxy, ProxyRules
from oneapi.upstream.resolver import Resolver
from oneapi.upstream.response import Response, Timeouts
from oneapi.upstream.target import Target
from oneapi.wire import HeaderList, UpstreamRequest

_AT_ONCE_BYTES = 64 * 1024  # up to here head and body go out in one write
_MOST_TARGETS = 1000
_MOST_HEADS = 1000
_DEFAULT_TIMEOUTS = Timeouts()


class Client:
    """Sends requests; redirects are answers like any other.

    ``idle_s`` is how long an unused connection is kept, ``idle_per_origin`` how many of them. Deadlines are
    looked at every ``sweep_s``. ``ssl_context`` and ``resolver`` replace the system's trust and name look-up.
    """

    def __init__(  # noqa: PLR0913  all by name
        self,
        *,
        proxy_rules: ProxyRules = ProxyRules(),  # noqa: B008  frozen
        ssl_context: ssl.SSLContext | None = None,
        resolver: Resolver | None = None,
        idle_s: float = 50.0,
        idle_per_origin: int = 256,
        sweep_s: float = 1.0,
    ) -> None:
        self._proxy_rules = proxy_rules
        self._dialer = Dialer(resolver or Resolver(), ssl_context)
        self._pool = Pool(idle_s=idle_s, idle_per_origin=idle_per_origin, sweep_s=sweep_s)
        self._targets: dict[str, Target] = {}
        self._heads: dict[tuple[str, str, HeaderList, str | None], bytes] = {}

    @property
    def open_connections(self) -> int:
        """Sockets that are open, busy or idle."""
        return len(self._pool.open)

    @property
    def idle_connections(self) -> int:
        """Sockets that wait for their next request."""
        return self._pool.idle_count

    async def close(self) -> None:
        """Close every connection; exchanges under way fail. Returns when the sockets are gone."""
        await self._pool.close()

    async def send(
        self,
        request: UpstreamRequest,
        *,
        proxy: str | None = None,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
        decode: bool = True,
    ) -> Response:
        """The answer's head, its body still to be read. Raises UpstreamError; cancelling closes the socket.

        ``proxy``: a proxy's URL, ``""`` for none, None for what the client's rules say. ``decode=False``
        hands the body out as it was sent, for a caller that passes ``content-encoding`` on.
        """
        where = self._targets.get(request.url) or self._parse(request.url)
        if proxy is None:
            proxy = self._proxy_rules.choose(where.scheme, where.host, where.port)
        via = proxies.parse(proxy) if proxy else None
        data = self._head(request, where, via) + target.length(request)
        rest = memoryview(request.body)
        if len(rest) <= _AT_ONCE_BYTES:
            data += request.body
            rest = rest[:0]
        response = Response(timeouts, decode=decode)
        head_only = request.method == "HEAD"
        key = (where.origin, proxy)
        while (connection := self._pool.take(key)) is not None:
            if connection.begin(response, data, head_only=head_only, last=not rest):
                break
        else:
            connection = await self._dial(where, via, key, timeouts)
            connection.begin(response, data, head_only=head_only, last=not rest)
        await response.send_rest(rest)
        return response

    def _head(self, request: UpstreamRequest, where: Target, via: Proxy | None) -> bytes:
        """The head's bytes, remembered: a channel's requests differ in their bodies only."""
        authorization = None  # a plain request is read by an HTTP proxy itself
        if via is not None and via.scheme == "http" and where.scheme == "http":
            authorization = via.authorization
        key = (request.url, request.method, request.headers, authorization)
        head = self._heads.get(key)
        if head is None:
            head = target.head(request, where, proxy_authorization=authorization)
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            self._heads[key] = head
        return head

    def _parse(self, url: str) -> Target:
        parsed = target.parse(url)
        if len(self._targets) >= _MOST_TARGETS:
            self._targets.clear()
        self._targets[url] = parsed
        return parsed

    async def _dial(self, where: Target, via: Proxy | None, key: Key, timeouts: Timeouts) -> Connection:
        loop = asyncio.get_running_loop()
        limit_s = min(timeouts.connect_s, timeouts.total_s or timeouts.connect_s)
        return await self._dialer.dial(
            where, via, limit_s=limit_s, make=lambda: Connection(self._pool, key, loop)
        )
