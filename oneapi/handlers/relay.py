"""The relay's side of HTTP: a request in, one exchange as a task, its answer out; no Tornado handler."""

import re
import time
from asyncio import Task
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from oneapi import log, request_id, tasks
from oneapi.handlers.client_ip import client_ip
from oneapi.handlers.context import Context
from oneapi.relay.exchange import Inbound
from oneapi.relay.guard import answered
from oneapi.wire import Mode

CLIENT_GONE = 499  # in the access log: the client left before it got a status

_ROUTES = {f"/v1/{mode.value}": mode for mode in Mode if mode is not Mode.PROXY}
_ENGINE = re.compile(r"/v1/engines/([^/]+)/embeddings\Z")
_PROXY = re.compile(r"/v1/oneapi/proxy/([^/]+)(/.*)?\Z", re.DOTALL)


class DirectConnection(Protocol):
    """The direct form of the server's connection: without Tornado's objects."""

    remote_ip: str

    def respond(self, status: int, headers: Iterable[tuple[str, str]], body: bytes = b"") -> None:
        """Send a whole answer."""

    def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send the head of an answer."""

    def send(self, data: bytes) -> Awaitable[None] | None:
        """Send more of it."""

    def end(self) -> None:
        """The answer is complete."""

    def abort(self) -> None:
        """Cut the connection."""

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Call ``callback`` when the client is gone."""


class RelayRoute:
    """Which exchange a request asks for; None of them is a Tornado handler."""

    __slots__ = ("channel", "mode", "path_model", "target")

    def __init__(self, mode: Mode, *, path_model: str = "", channel: str = "", target: str = "") -> None:
        self.mode = mode
        self.path_model = path_model
        self.channel = channel
        self.target = target


_PLAIN = {path: RelayRoute(mode) for path, mode in _ROUTES.items()}


def relay_route(method: str, path: str) -> RelayRoute | None:
    """The relay's route for a request, or None when Tornado's application answers it."""
    if method == "POST":
        plain = _PLAIN.get(path)
        if plain is not None:
            return plain
        engine = _ENGINE.match(path)
        if engine:
            return RelayRoute(Mode.EMBEDDINGS, path_model=engine[1])
    if method != "OPTIONS" and path.startswith("/v1/oneapi/proxy/"):
        proxied = _PROXY.match(path)
        if proxied:
            return RelayRoute(Mode.PROXY, channel=proxied[1], target=proxied[2] or "/")
    return None


class RelayDelegate(HTTPMessageDelegate):
    """One request of a relay route. It is the ``Client`` of its exchange, too."""

    __slots__ = (
        "_body",
        "_connection",
        "_context",
        "_headers",
        "_id",
        "_method",
        "_path",
        "_query",
        "_route",
        "_started_at",
        "_status",
        "_task",
        "ended",
        "started",
    )

    def __init__(self, context: Context, connection: DirectConnection, route: RelayRoute) -> None:
        self._context = context
        self._connection = connection
        self._route = route
        self._body: list[bytes] = []
        self._task: Task[None] | None = None
        self._status = 0
        self.started = False
        self.ended = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        """Note the head; the exchange begins when the body is there."""
        assert isinstance(start_line, RequestStartLine)  # noqa: S101  a server gets no other
        self._started_at = time.monotonic()
        self._id = request_id.new()
        self._method = start_line.method
        self._path, _, self._query = start_line.path.partition("?")
        self._headers = headers

    def data_received(self, chunk: bytes) -> None:
        """Gather the body; the server has capped its size."""
        self._body.append(chunk)

    def finish(self) -> None:
        """The request is complete: start its exchange, which the client's leaving cancels."""
        self._connection.set_close_callback(self.on_connection_close)
        self._task = tasks.spawn(self._run(), name="exchange")

    def on_connection_close(self) -> None:
        """The client is gone."""
        if self._task is not None and not self.ended:
            self._task.cancel()

    async def _run(self) -> None:
        log.request_id.set(self._id)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        remote_ip = client_ip(
            self._headers, self._connection.remote_ip, self._context.settings.trusted_proxies
        )
        inbound = Inbound(
            mode=self._route.mode,
            method=self._method,
            path=self._path,
            query=self._query,
            headers=self._headers,
            body=body,
            remote_ip=remote_ip,
            request_id=self._id,
            started=self._started_at,
            path_model=self._route.path_model,
        )
        try:
            await answered(inbound, self, self._work(inbound))
        finally:
            elapsed_s = time.monotonic() - self._started_at
            target = f"{self._path}?{self._query}" if self._query else self._path
            log.access(self._id, self._status or CLIENT_GONE, elapsed_s, remote_ip, self._method, target)

    def _work(self, inbound: Inbound) -> Coroutine[Any, Any, None]:
        route = self._route
        if route.mode is Mode.PROXY:
            return self._context.proxy.serve(inbound, self, route.channel, route.target)
        return self._context.pipeline.serve(inbound, self)

    def respond(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Send a whole answer."""
        self.started = self.ended = True
        self._status = status
        self._connection.respond(status, self._with_ours(headers), body)

    def begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Send the head of a streamed answer."""
        self.started = True
        self._status = status
        self._connection.begin(status, self._with_ours(headers))

    def send(self, data: bytes) -> Awaitable[None] | None:
        """Send more of it."""
        return self._connection.send(data)

    def end(self) -> None:
        """The streamed answer is complete."""
        self.ended = True
        self._connection.end()

    def abort(self) -> None:
        """What was sent is not a whole answer: let the client see that."""
        self.ended = True
        self._connection.abort()

    def _with_ours(self, headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        ours = [*headers, ("X-Oneapi-Request-Id", self._id)]
        if "origin" in self._headers:
            # Any page may call the relay with its own key; cookies are never part of it.
            ours.append(("Access-Control-Allow-Origin", "*"))
        return ours
