"""Request bodies: compressed ones, and delegates that take their time."""

import asyncio
import gzip
import zlib
from collections.abc import Awaitable
from typing import Any

import pytest
from tornado.httputil import HTTPConnection, HTTPMessageDelegate

from oneapi.server import Connection, InflatingDelegate
from tests.server.conftest import Connect, Serve
from tests.server.raw import Application, Exchange, Raw, until

LIMIT = 3_000_000


class Inflating(Application):
    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        assert isinstance(request_conn, Connection)
        return InflatingDelegate(super().start_request(server_conn, request_conn), request_conn, LIMIT)


class Slow(Exchange):
    """Takes each piece only when the test lets it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.gate: asyncio.Future[None] | None = None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:  # type: ignore[override]
        super().data_received(chunk)
        self.gate = asyncio.get_running_loop().create_future()
        return self.gate


class SlowApplication(Application):
    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        assert isinstance(request_conn, Connection)
        exchange = Slow(request_conn, self.answer)
        self.exchanges.append(exchange)
        return exchange


async def post(client: Raw, body: bytes, encoding: str = "gzip") -> None:
    head = (
        f"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    await client.send(head.encode() + body)


@pytest.mark.parametrize("body", [b"", b"hello", bytes(range(256)) * 10_000], ids=["empty", "short", "long"])
async def test_a_gzip_body_arrives_inflated(serve: Serve, connect: Connect, body: bytes) -> None:
    app = Inflating()
    client = await connect(await serve(app))
    for packed in (gzip.compress(body), gzip.compress(body[:2]) + gzip.compress(body[2:])):
        await post(client, packed, "GZip")
        assert (await client.response()).status == 200
        assert app.exchanges[-1].body == body
        assert "content-encoding" not in app.exchanges[-1].headers


async def test_a_gzip_body_may_be_cut_anywhere(serve: Serve, connect: Connect) -> None:
    app = Inflating()
    client = await connect(await serve(app))
    packed = gzip.compress(b"hello, world")
    await post(client, packed[:0] + b"", "gzip")
    assert (await client.response()).status == 400
    await client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for byte in packed:
        await client.send(b"1\r\n%c\r\n" % byte)
        await asyncio.sleep(0)
    await client.send(b"0\r\n\r\n")
    assert (await client.response()).status == 200
    assert app.exchanges[-1].body == b"hello, world"


async def test_a_body_that_is_not_compressed_passes_unchanged(serve: Serve, connect: Connect) -> None:
    app = Inflating()
    client = await connect(await serve(app))
    await post(client, b"hello", "identity")
    assert (await client.response()).status == 200
    assert app.exchanges[0].body == b"hello"


BROKEN = {
    "no gzip": b"hello",
    "cut off": gzip.compress(b"hello")[:-3],
    "wrong sum": gzip.compress(b"hello")[:-8] + b"\0" * 8,
    "garbage behind": gzip.compress(b"hello") + b"hello",
    "deflate": zlib.compress(b"hello"),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_gzip_body_gets_an_empty_400(serve: Serve, connect: Connect, body: bytes) -> None:
    app = Inflating()
    client = await connect(await serve(app))
    await post(client, body)
    response = await client.response()
    assert (response.status, response.body) == (400, b"")
    assert not app.exchanges[0].complete
    assert app.exchanges[0].told == ["on_connection_close"]


async def test_a_body_that_inflates_beyond_the_limit_is_refused(serve: Serve, connect: Connect) -> None:
    app = Inflating()
    client = await connect(await serve(app))
    await post(client, gzip.compress(b"x" * 500_000_000, 1))
    response = await client.response()
    assert (response.status, response.json()["error"]["code"]) == (413, "request_too_large")
    assert len(app.exchanges[0].body) <= LIMIT
    assert app.exchanges[0].told == ["on_connection_close"]


async def test_a_client_that_leaves_within_a_gzip_body_is_noticed(serve: Serve, connect: Connect) -> None:
    app = Inflating()
    client = await connect(await serve(app))
    await client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 99\r\n\r\n\x1f\x8b"
    )
    await until(lambda: app.exchanges)
    client.reset()
    await until(lambda: app.exchanges[0].told)
    assert app.exchanges[0].told == ["on_connection_close"]


async def test_a_delegate_may_take_its_time_and_nothing_piles_up(serve: Serve, connect: Connect) -> None:
    app = SlowApplication()
    server = await serve(app, body_s=0.01, keep_alive_s=30)
    client = await connect(server)
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")
    await until(lambda: app.exchanges and app.exchanges[0].body)
    await client.send(b"loPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    await asyncio.sleep(0.05)  # longer than a client may be silent: it is not the client who is
    slow = app.exchanges[0]
    assert isinstance(slow, Slow)
    assert slow.body == b"hel"
    assert slow.gate is not None
    slow.gate.set_result(None)
    await until(lambda: slow.body == b"hello")
    assert not slow.complete
    slow.gate.set_result(None)
    assert (await client.response()).json()["body"] == "hello"
    assert (await client.response()).json()["body"] == ""


async def test_a_client_that_leaves_while_the_delegate_takes_its_time_is_noticed(
    serve: Serve, connect: Connect
) -> None:
    app = SlowApplication()
    server = await serve(app)
    client = await connect(server)
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")
    await until(lambda: app.exchanges and app.exchanges[0].body)
    client.reset()
    await until(lambda: server.open_connections == 0)
    slow = app.exchanges[0]
    assert isinstance(slow, Slow)
    assert slow.told == ["on_connection_close"]
    assert slow.gate is not None
    slow.gate.set_result(None)


@pytest.mark.expected_log("request failed", "a bug")
async def test_a_delegate_that_fails_while_it_takes_its_time_gives_500(
    serve: Serve, connect: Connect
) -> None:
    app = SlowApplication()
    client = await connect(await serve(app))
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")
    await until(lambda: app.exchanges and app.exchanges[0].body)
    slow = app.exchanges[0]
    assert isinstance(slow, Slow)
    assert slow.gate is not None
    slow.gate.set_exception(RuntimeError("a bug"))
    assert (await client.response()).status == 500
    assert await client.ended()
