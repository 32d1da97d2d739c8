"""The front door: relay routes go to the relay at once, everything else to Tornado's application."""

from collections.abc import Awaitable, Callable
from typing import cast

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.web import Application

from oneapi.handlers.context import Context
from oneapi.handlers.relay import DirectConnection, RelayDelegate, relay_route

# Wraps a delegate so that it gets the body without its Content-Encoding.
Inflating = Callable[[HTTPMessageDelegate, HTTPConnection], HTTPMessageDelegate]


class FrontDoor(HTTPServerConnectionDelegate):
    """What the server hands every request to."""

    def __init__(self, context: Context, application: Application, inflating: Inflating) -> None:
        self.context = context
        self.application = application
        self.inflating = inflating

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """A delegate that decides when it has seen the head."""
        return _Visitor(self, server_conn, request_conn)


class _Visitor(HTTPMessageDelegate):
    __slots__ = ("_connection", "_door", "_inner", "_server_conn")

    def __init__(self, door: FrontDoor, server_conn: object, connection: HTTPConnection) -> None:
        self._door = door
        self._server_conn = server_conn
        self._connection = connection

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        assert isinstance(start_line, RequestStartLine)  # noqa: S101  a server gets no other
        route = relay_route(start_line.method, start_line.path.partition("?")[0])
        if route is not None:
            # Tornado's interface does not name the direct form; only our server calls this.
            connection = cast(DirectConnection, self._connection)
            self._inner: HTTPMessageDelegate = RelayDelegate(self._door.context, connection, route)
            if "content-encoding" in headers:
                self._inner = self._door.inflating(self._inner, self._connection)
        else:
            self._inner = self._door.application.start_request(self._server_conn, self._connection)
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        self._inner.finish()

    def on_connection_close(self) -> None:
        self._inner.on_connection_close()
