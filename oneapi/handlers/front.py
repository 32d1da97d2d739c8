"""The front door: relay routes go to the relay at once, everything else to Tornado's application."""

from collections.abc import Callable
from typing import cast

from tornado.httputil import HTTPConnection, HTTPMessageDelegate, HTTPServerConnectionDelegate
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
        """The delegate for a request, whose head is known to its connection."""
        # Tornado's interface does not name the direct form; only our server calls this.
        connection = cast(DirectConnection, request_conn)
        head = connection.head
        route = relay_route(head.start_line.method, head.path)
        if route is None:
            return self.application.start_request(server_conn, request_conn)
        delegate = RelayDelegate(self.context, connection, route)
        if "content-encoding" in head.values:
            return self.inflating(delegate, request_conn)
        return delegate
