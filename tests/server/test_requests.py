"""What requests get through, however their bytes arrive."""

import asyncio

import pytest

from oneapi import tasks
from tests.server.conftest import Connect, Serve
from tests.server.raw import JSON, Application, Exchange, echo, until

POST = b"POST /v1/x?a=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;ext=1\r\nhello\r\nA\r\n, world...\r\n0\r\nX-Trailer: 1\r\n\r\n"
)


async def test_a_request_is_answered_with_date_length_and_no_server_name(
    serve: Serve, connect: Connect
) -> None:
    client = await connect(await serve(Application()))
    await client.send(POST)
    response = await client.response()
    assert response.status == 200
    assert response.json() == {"method": "POST", "path": "/v1/x?a=1", "body": "hello"}
    assert sorted(response.headers) == ["Content-Length", "Content-Type", "Date"]


@pytest.mark.parametrize("request_bytes", [POST, CHUNKED], ids=["length", "chunked"])
async def test_a_request_may_be_cut_at_every_byte(
    serve: Serve, connect: Connect, request_bytes: bytes
) -> None:
    app = Application()
    client = await connect(await serve(app))
    for cut in range(1, len(request_bytes)):
        await client.send(request_bytes[:cut])
        await asyncio.sleep(0)
        await client.send(request_bytes[cut:])
        assert (await client.response()).status == 200
        assert app.exchanges[-1].body in (b"hello", b"hello, world...")


@pytest.mark.parametrize("request_bytes", [POST, CHUNKED], ids=["length", "chunked"])
async def test_a_request_may_arrive_byte_by_byte(
    serve: Serve, connect: Connect, request_bytes: bytes
) -> None:
    app = Application()
    client = await connect(await serve(app))
    for byte in request_bytes:
        await client.send(bytes((byte,)))
        await asyncio.sleep(0)
    assert (await client.response()).status == 200


async def test_pipelined_requests_are_answered_in_order(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application()))
    requests = [POST.replace(b"/v1/x", b"/%d" % n) + CHUNKED.replace(b"/c", b"/%dc" % n) for n in range(50)]
    await client.send(b"".join(requests))
    for n in range(50):
        assert (await client.response()).json()["path"] == f"/{n}?a=1"
        assert (await client.response()).json() == {
            "method": "POST",
            "path": f"/{n}c",
            "body": "hello, world...",
        }


async def test_a_pipelined_request_waits_for_the_answer_before_it(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    client = await connect(await serve(app))
    await client.send(POST + POST + POST)
    for n in range(3):
        exchange = await app.exchange(n)
        assert len(app.exchanges) == n + 1
        exchange.connection.begin(200, JSON)
        exchange.connection.send(b"%d" % n)
        exchange.connection.end()
        assert (await client.response()).body == b"%d" % n


async def test_what_is_pipelined_behind_a_slow_answer_is_not_read_without_limit(
    serve: Serve, connect: Connect
) -> None:
    app = Application(answer=None)
    server = await serve(app, read_ahead_bytes=4096)
    client = await connect(server)
    flood = tasks.spawn(client.send(POST * 500_000), name="flood")  # 40 MB
    exchange = await app.exchange()
    done, _ = await asyncio.wait([flood], timeout=0.2)
    assert not done
    app.answer = echo
    echo(exchange)
    for _ in range(1000):
        assert (await client.response()).status == 200
    flood.cancel()


async def test_blank_lines_between_requests_are_ignored(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application()))
    await client.send(b"\r\n\r")
    await client.send(b"\n" + POST + b"\r\n" + POST)
    assert (await client.response()).status == 200
    assert (await client.response()).status == 200


async def test_a_client_that_expects_100_continue_is_invited(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application()))
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
    assert (await client.response()).status == 100
    await client.send(b"ok")
    assert (await client.response()).json()["body"] == "ok"


async def test_a_client_that_expects_100_continue_is_not_invited_to_a_refused_body(
    serve: Serve, connect: Connect
) -> None:
    client = await connect(await serve(Application(), body_bytes=10))
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")
    assert (await client.response()).status == 413
    assert await client.ended()


async def test_other_expectations_fail(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application()))
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n")
    assert (await client.response()).status == 417


async def test_http_1_0_closes_after_the_answer(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application()))
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    response = await client.response()
    assert response.headers["Connection"] == "close"
    assert response.json()["method"] == "GET"
    assert await client.ended()


async def test_http_1_0_with_keep_alive_stays_open(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application()))
    for _ in range(2):
        await client.send(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
        assert (await client.response()).headers["Connection"] == "keep-alive"


async def test_a_stream_to_http_1_0_has_no_chunks_and_ends_with_the_connection(
    serve: Serve, connect: Connect
) -> None:
    def stream(exchange: Exchange) -> None:
        exchange.connection.begin(200, JSON)
        exchange.connection.send(b"one")
        exchange.connection.send(b"two")
        exchange.connection.end()

    client = await connect(await serve(Application(stream)))
    await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head, _, body = (await client.until_end()).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == b"onetwo"


async def test_connection_close_is_honoured(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application()))
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n")
    assert (await client.response()).headers["Connection"] == "close"
    assert await client.ended()


@pytest.mark.parametrize("streamed", [False, True])
async def test_head_gets_the_head_only(serve: Serve, connect: Connect, streamed: bool) -> None:
    def answer(exchange: Exchange) -> None:
        if streamed:
            exchange.connection.begin(200, JSON)
            exchange.connection.send(b"body")
            exchange.connection.end()
        else:
            exchange.connection.respond(200, JSON, b"body")

    client = await connect(await serve(Application(answer)))
    for _ in range(2):
        await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        response = await client.response(head=True)
        assert response.headers.get("Content-Length", "4") == "4"
        assert client.received == b""


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body_have_none(serve: Serve, connect: Connect, status: int) -> None:
    client = await connect(await serve(Application(lambda e: e.connection.respond(status, (), b"x"))))
    for _ in range(2):
        await client.send(POST)
        response = await client.response()
        assert response.status == status
        assert list(response.headers) == ["Date"]


async def test_absolute_targets_are_served_and_their_host_counts(serve: Serve, connect: Connect) -> None:
    app = Application()
    client = await connect(await serve(app))
    await client.send(b"GET http://b.example:80/p?q HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await client.response()).json()["path"] == "/p?q"
    assert app.exchanges[0].headers["Host"] == "b.example:80"
    await client.send(b"GET http://b.example?q HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await client.response()).json()["path"] == "/?q"


async def test_an_offer_to_upgrade_is_ignored_and_the_body_is_read(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application()))
    upgrade = POST.replace(b"Host: a", b"Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c")
    await client.send(upgrade + POST)
    assert (await client.response()).json()["body"] == "hello"
    assert (await client.response()).json()["body"] == "hello"


async def test_an_early_answer_reaches_a_client_that_still_sends(serve: Serve, connect: Connect) -> None:
    class Hasty(Application):
        def start_request(self, server_conn: object, request_conn: object) -> Exchange:
            exchange = super().start_request(server_conn, request_conn)  # type: ignore[arg-type]
            assert isinstance(exchange, Exchange)
            exchange.headers_received = lambda *_: exchange.connection.respond(401, JSON, b"{}")  # type: ignore[method-assign]
            return exchange

    client = await connect(await serve(Hasty()))
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 1000)
    response = await client.response()
    assert (response.status, response.headers["Connection"]) == (401, "close")
    await client.send(b"x" * 500_000)
    assert await client.ended()


async def test_header_values_are_found_whatever_their_case(serve: Serve, connect: Connect) -> None:
    app = Application()
    client = await connect(await serve(app))
    await client.send(
        b"GET / HTTP/1.1\r\nhOST: a\r\nX-one:  1 \r\nx-MANY: a\r\nX-Many: b\r\nX-Empty:\r\nX-L: \xe4\r\n\r\n"
    )
    await client.response()
    headers = app.exchanges[0].headers
    assert (headers["x-one"], headers.get("X-ONE"), headers["X-Many"]) == ("1", "1", "a,b")
    assert (headers.get("x-empty"), headers.get("none"), headers.get("none", "d")) == ("", None, "d")
    assert headers.get_list("x-many") == ["a", "b"]
    assert headers.get_list("none") == []
    assert "HOST" in headers
    assert "none" not in headers
    assert list(headers) == ["Host", "X-One", "X-Many", "X-Empty", "X-L"]
    assert len(headers) == 5
    assert list(headers.get_all())[2:4] == [("X-Many", "a"), ("X-Many", "b")]
    assert headers["x-l"] == "\xe4"
    copy = headers.copy()
    headers.add("X-Many", "c")
    headers["x-one"] = "2"
    del headers["host"]
    assert (headers["x-many"], headers.get_list("X-One"), "Host" in headers) == ("a,b,c", ["2"], False)
    assert copy["Host"] == "a"


async def test_a_delegate_sees_the_peer(serve: Serve, connect: Connect) -> None:
    app = Application()
    client = await connect(await serve(app))
    await client.send(POST)
    await client.response()
    connection = app.exchanges[0].connection
    assert (connection.remote_ip, connection.protocol) == ("127.0.0.1", "http")
    assert connection.context.remote_ip == "127.0.0.1"


async def test_counters_follow_connections_and_requests(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    server = await serve(app)
    client = await connect(server)
    await client.send(POST)
    exchange = await app.exchange()
    assert (server.open_connections, server.active_requests) == (1, 1)
    echo(exchange)
    assert (server.open_connections, server.active_requests) == (1, 0)
    client.close()
    await until(lambda: server.open_connections == 0)
