"""A client that must leave no socket behind, and servers for it."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import trustme

from oneapi.upstream import Client
from tests.upstream.peer import Script, Server

Serve = Callable[..., Awaitable[Server]]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """What a client that trusts ``authority`` uses."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority, "localhost", "127.0.0.1")


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
async def client(trusting: ssl.SSLContext) -> AsyncIterator[Client]:
    """Trusts ``authority``, looks at its deadlines often, and at every connection before it is used again."""
    client = Client(ssl_context=trusting, sweep_s=0.01, trusted_s=0.0)
    yield client
    await client.close()
    assert client.open_connections == 0


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers; when the test is over every client must have closed its sockets."""
    async with AsyncExitStack() as stack:

        async def start(script: Script, tls: ssl.SSLContext | None = None) -> Server:
            return await stack.enter_async_context(Server(script, tls))

        yield start
