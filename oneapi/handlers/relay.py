"""The relay's side of HTTP: a request in, one exchange as a task, its answer out; no Tornado handler."""

import re
import time
from asyncio import Task
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, cast

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from oneapi import log, request_id, tasks
from oneapi.handlers.client_ip import client_ip
from oneapi.handlers.context import Context
from oneapi.relay.exchange import Inbound
from oneapi.relay.guard import answered
from oneapi.wire import Mode

CLIENT_GONE = 499  # in the access log: the client left before it got a status

_ROUTES = {f"/v1/{mode.value}": mode for mode in Mode if mode is not Mode.PROXY}
_RAW = Mode.PROXY  # Python 3.11 looks a member up ten times faster here than in its class
_ENGINE = re.compile(r"/v1/engines/([^/]+)/embeddings\Z")
_PROXY = re.compile(r"/v1/oneapi/proxy/([^/]+)(/.*)?\Z", re.DOTALL)


class RequestHead(Protocol):
    """A request's head as the server has read it; not to be changed."""

    start_line: RequestStartLine
    path: str
    query: str
    values: dict[str, str]  # lower-case name -> value


class DirectHeaders(Protocol):
    """The direct form of the server's headers."""

    by_name: dict[str, str]  # lower-case name -> value, several joined with a comma


class DirectConnection(Protocol):
    """The direct form of the server's connection: without Tornado's objects."""

    head: RequestHead
    remote_ip: str
    close_callback: Callable[[], None] | None  # called when the client is gone

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
        "_route",
        "_started_at",
        "_status",
        "_task",
        "ended",
        "send",
        "started",
    )

    def __init__(self, context: Context, connection: DirectConnection, route: RelayRoute) -> None:
        self._context = context
        self._connection = connection
        self._route = route
        self._body: bytes | list[bytes] = b""
        self._task: Task[None] | None = None
        self._status = 0
        self.send = connection.send  # for every piece of a stream: not a call through one of ours
        self.started = False
        self.ended = False

    def headers_received(
        self,
        start_line: RequestStartLine | ResponseStartLine,  # noqa: ARG002  the connection has it
        headers: HTTPHeaders,
    ) -> None:
        """Note the head; the exchange begins when the body is there."""
        self._started_at = time.monotonic()
        self._id = request_id.new()
        # Tornado's interface does not name the direct form; only our server calls this.
        self._headers = cast(DirectHeaders, headers).by_name

    def data_received(self, chunk: bytes) -> None:
        """Gather the body; the server has capped its size."""
        if not self._body:
            self._body = chunk
        elif isinstance(self._body, list):
            self._body.append(chunk)
        else:
            self._body = [self._body, chunk]

    def finish(self) -> None:
        """The request is complete: start its exchange, which the client's leaving cancels."""
        self._connection.close_callback = self.on_connection_close
        self._task = tasks.start(self._run, name="exchange")

    def on_connection_close(self) -> None:
        """The client is gone."""
        if self._task is not None and not self.ended:
            tasks.cancel(self._task)

    async def _run(self) -> None:
        rid = self._id
        log.request_id.set(rid)
        context, route, headers, body = self._context, self._route, self._headers, self._body
        self._body = b""
        head = self._connection.head
        method, target, _ = head.start_line
        remote_ip = client_ip(headers, self._connection.remote_ip, context.settings.trusted_proxies)
        inbound = Inbound(
            route.mode,
            method,
            head.path,
            head.query,
            headers,
            b"".join(body) if isinstance(body, list) else body,
            remote_ip,
            rid,
            self._started_at,
            route.path_model,
        )
        if route.mode is _RAW:
            work = context.proxy.serve(inbound, self, route.channel, route.target)
        else:
            work = context.pipeline.serve(inbound, self)
        try:
            await answered(inbound, self, work)
        finally:
            elapsed_s = time.monotonic() - self._started_at
            log.access(rid, self._status or CLIENT_GONE, elapsed_s, remote_ip, method, target)

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
