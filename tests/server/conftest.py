"""Servers that end with their test, and clients for them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tornado.httputil import HTTPServerConnectionDelegate

from oneapi import tasks
from oneapi.server import HTTPServer, Limits
from tests.server.raw import Raw

Serve = Callable[..., Awaitable[HTTPServer]]
Connect = Callable[..., Awaitable[Raw]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server for an application, with other limits if need be. It must end without a leak."""
    servers = []

    async def start(app: HTTPServerConnectionDelegate, **limits: Any) -> HTTPServer:
        server = HTTPServer(app, limits=Limits(**limits))
        await server.start("127.0.0.1", 0)
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop(0)
        assert (server.open_connections, server.active_requests) == (0, 0)
    assert await tasks.drain(1) == 0


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open a raw connection to a server."""
    clients = []

    async def open_one(server: HTTPServer, **options: Any) -> Raw:
        client = await Raw.connect(server.port, **options)
        clients.append(client)
        return client

    yield open_one
    for client in clients:
        client.close()
