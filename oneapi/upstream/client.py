"""The outbound HTTP client: pooled HTTP/1.1 connections over asyncio protocols and llhttp."""

import asyncio
import ssl
from dataclasses import dataclass

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
_MOST_ROUTES = 1000
_DEFAULT_TIMEOUTS = Timeouts()


@dataclass(slots=True)
class _Route:
    """What a channel's requests have in common: all but their bodies."""

    where: Target
    via: Proxy | None
    key: Key  # of the pool
    head: bytes  # the request's head, up to Content-Length


class Client:
    """Sends requests; redirects are answers like any other.

    ``idle_s`` is how long an unused connection is kept, ``idle_per_origin`` how many of them. Deadlines are
    looked at every ``sweep_s``. A connection that was idle for ``trusted_s`` is looked at before it is used
    again. ``ssl_context`` and ``resolver`` replace the system's trust and name look-up.
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
        trusted_s: float = 1.0,
    ) -> None:
        self._proxy_rules = proxy_rules
        self._dialer = Dialer(resolver or Resolver(), ssl_context)
        self._pool = Pool(
            idle_s=idle_s, idle_per_origin=idle_per_origin, sweep_s=sweep_s, trusted_s=trusted_s
        )
        self._routes: dict[tuple[str, str, HeaderList, str | None], _Route] = {}

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
        key = (request.url, request.method, request.headers, proxy)
        route = self._routes.get(key)
        if route is None:
            route = self._remember(key, self._route(request, proxy))
        body = request.body
        at_once = len(body) <= _AT_ONCE_BYTES
        data = route.head + target.length(request)
        if at_once:
            data += body
        response = Response(timeouts, decode)
        head_only = request.method == "HEAD"
        while (connection := self._pool.take(route.key)) is not None:
            if connection.begin(response, data, head_only, at_once):
                break
        else:
            connection = await self._dial(route, timeouts)
            connection.begin(response, data, head_only, at_once)
        if not at_once:
            await response.send_rest(memoryview(body))
        while not response.status:
            waiter = response.waiter(timeouts.first_byte_s)
            try:
                await waiter
            except BaseException:
                response.close()
                raise
        return response

    def _route(self, request: UpstreamRequest, proxy: str | None) -> _Route:
        where = target.parse(request.url)
        if proxy is None:
            proxy = self._proxy_rules.choose(where.scheme, where.host, where.port)
        via = proxies.parse(proxy) if proxy else None
        authorization = None  # a plain request is read by an HTTP proxy itself
        if via is not None and via.scheme == "http" and where.scheme == "http":
            authorization = via.authorization
        head = target.head(request, where, proxy_authorization=authorization)
        return _Route(where, via, (where.origin, proxy), head)

    def _remember(self, key: tuple[str, str, HeaderList, str | None], route: _Route) -> _Route:
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        self._routes[key] = route
        return route

    async def _dial(self, route: _Route, timeouts: Timeouts) -> Connection:
        loop = asyncio.get_running_loop()
        limit_s = min(timeouts.connect_s, timeouts.total_s or timeouts.connect_s)
        return await self._dialer.dial(
            route.where, route.via, limit_s=limit_s, make=lambda: Connection(self._pool, route.key, loop)
        )
