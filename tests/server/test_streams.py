"""Answers that take time: chunks, slow readers, clients that leave, and the server's own end."""

import asyncio
import time

import pytest

from oneapi import tasks
from oneapi.server import HTTPServer
from tests.server.conftest import Connect, Serve
from tests.server.raw import JSON, Application, Exchange, Raw, until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
AT_ONCE_S = 1  # in truth a turn of the loop; a busy test machine gets more
BODY_TO_COME = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"


def raising(exchange: Exchange) -> None:
    raise RuntimeError("a bug")


async def begun(server: HTTPServer, client: Raw, app: Application) -> Exchange:
    """An exchange whose head and first chunk the client has."""
    await client.send(GET)
    exchange = await app.exchange(len(app.exchanges))
    exchange.connection.begin(200, JSON)
    assert exchange.connection.send(b"first") is None
    assert (await client.head()).headers["Transfer-Encoding"] == "chunked"
    assert await client.chunk() == b"first"
    assert server.active_requests == 1
    return exchange


async def test_every_piece_arrives_at_once_as_a_chunk(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    server = await serve(app)
    client = await connect(server)
    for _ in range(2):
        exchange = await begun(server, client, app)
        for size in (1, 15, 16, 5000):
            exchange.connection.send(b"x" * size)
            exchange.connection.send(b"")
            assert len(await client.chunk()) == size
        exchange.connection.end()
        assert await client.chunk() == b""


async def test_a_promised_length_is_kept_without_chunks(serve: Serve, connect: Connect) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.connection.begin(200, (("content-length", "6"),))
        exchange.connection.send(b"one")
        exchange.connection.send(b"two")
        exchange.connection.end()

    client = await connect(await serve(Application(answer)))
    for _ in range(2):
        await client.send(GET)
        assert (await client.response()).body == b"onetwo"


@pytest.mark.expected_log("request failed")
@pytest.mark.parametrize("body", [b"short", b"too long"])
async def test_a_broken_promise_of_length_cuts_the_connection(
    serve: Serve, connect: Connect, body: bytes
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.connection.begin(200, (("Content-Length", "6"),))
        exchange.connection.send(body)
        exchange.connection.end()

    client = await connect(await serve(Application(answer)))
    await client.send(GET + GET)
    received = await client.until_end()
    assert received.count(b"HTTP/1.1") <= 1


async def test_a_large_answer_arrives_whole(serve: Serve, connect: Connect) -> None:
    body = bytes(range(256)) * 20_000
    client = await connect(await serve(Application(lambda e: e.connection.respond(200, (), body))))
    for _ in range(2):
        await client.send(GET)
        assert (await client.response()).body == body


async def test_a_slow_reader_pauses_the_producer_and_memory_stays_flat(
    serve: Serve, connect: Connect
) -> None:
    app = Application(answer=None)
    server = await serve(app, high_water_bytes=32768, low_water_bytes=8192)
    client = await connect(server, receive_buffer=4096)
    exchange = await begun(server, client, app)
    connection, sent = exchange.connection, 0

    async def produce() -> None:
        nonlocal sent
        for _ in range(2000):  # 8 MB
            wait = connection.send(b"x" * 4096)
            sent += 1
            if wait is not None:
                await wait
        connection.end()

    producer = tasks.spawn(produce(), name="producer")
    transport = connection._socket.transport
    highest = 0
    for _ in range(100):
        before = sent
        await asyncio.sleep(0.005)
        highest = max(highest, transport.get_write_buffer_size())
        if before == sent:
            break
    paused_at = sent
    assert 0 < paused_at < 2000
    assert highest < 32768 + 8192
    received = 0
    while chunk := await client.chunk():
        received += len(chunk)
        highest = max(highest, transport.get_write_buffer_size())
    assert received == 2000 * 4096
    assert highest < 32768 + 8192
    await producer


async def test_a_reader_that_takes_nothing_for_too_long_is_cut_off(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    server = await serve(app, write_s=0.05)
    client = await connect(server, receive_buffer=4096)
    exchange = await begun(server, client, app)
    while (wait := exchange.connection.send(b"x" * 65536)) is None:
        pass
    await wait
    await until(lambda: exchange.told)
    assert exchange.told == ["close callback"]
    assert server.active_requests == 0


async def test_a_client_that_does_not_read_gets_no_answers_ahead(serve: Serve, connect: Connect) -> None:
    app = Application(lambda e: e.connection.respond(200, (), b"x" * 50_000))
    server = await serve(app)
    client = await connect(server, receive_buffer=4096)
    await client.send(GET * 1000)
    await until(lambda: len(app.exchanges) > 1)
    before = -1
    while before != len(app.exchanges):
        before = len(app.exchanges)
        await asyncio.sleep(0.02)
    assert before < 1000
    for _ in range(1000):
        assert len((await client.response()).body) == 50_000


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_leaves_while_it_waits_is_noticed_at_once(
    serve: Serve, connect: Connect, how: str
) -> None:
    app = Application(answer=None)
    server = await serve(app)
    client = await connect(server)
    await client.send(GET)
    exchange = await app.exchange()
    getattr(client, how)()
    left_at = time.monotonic()
    await until(lambda: exchange.told)
    assert time.monotonic() - left_at < AT_ONCE_S
    assert exchange.told == ["close callback"]
    assert server.active_requests == 0
    # What comes too late is dropped.
    exchange.connection.respond(200, ())
    exchange.connection.begin(200, ())
    assert exchange.connection.send(b"x") is None
    exchange.connection.end()
    exchange.connection.abort()
    await until(lambda: server.open_connections == 0)
    assert exchange.told == ["close callback"]


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_leaves_during_a_silent_stream_is_noticed_at_once(
    serve: Serve, connect: Connect, how: str
) -> None:
    app = Application(answer=None)
    server = await serve(app)
    client = await connect(server)
    exchange = await begun(server, client, app)
    getattr(client, how)()
    left_at = time.monotonic()
    await until(lambda: exchange.told)
    assert time.monotonic() - left_at < AT_ONCE_S
    assert (server.active_requests, exchange.told) == (0, ["close callback"])
    await until(lambda: server.open_connections == 0)


async def test_a_client_that_leaves_while_the_producer_is_paused_is_noticed(
    serve: Serve, connect: Connect
) -> None:
    app = Application(answer=None)
    server = await serve(app)
    client = await connect(server, receive_buffer=4096)
    exchange = await begun(server, client, app)
    while (wait := exchange.connection.send(b"x" * 65536)) is None:
        pass
    client.close()
    await wait
    assert exchange.told == ["close callback"]
    assert server.open_connections == 0


async def test_a_client_that_leaves_behind_many_pipelined_requests_is_noticed(
    serve: Serve, connect: Connect
) -> None:
    app = Application(answer=None)
    server = await serve(app, read_ahead_bytes=1024, header_s=0.1)
    client = await connect(server)
    await client.send(GET * 100)
    exchange = await app.exchange()
    client.reset()
    await until(lambda: exchange.told)
    assert len(app.exchanges) == 1


@pytest.mark.parametrize("how", ["close", "reset", "shut"])
@pytest.mark.parametrize("sent", [b"", GET[:5], BODY_TO_COME], ids=["nothing", "half a head", "half a body"])
async def test_a_client_that_leaves_before_its_request_is_complete_leaves_nothing_behind(
    serve: Serve, connect: Connect, how: str, sent: bytes
) -> None:
    app = Application()
    server = await serve(app)
    client = await connect(server)
    await client.send(sent)
    await until(lambda: server.open_connections and len(app.exchanges) == (sent == BODY_TO_COME))
    getattr(client, how)()
    await until(lambda: server.open_connections == 0)
    assert server.active_requests == 0
    assert [exchange.told for exchange in app.exchanges] == [["on_connection_close"]] * len(app.exchanges)


async def test_a_client_that_has_shut_down_its_side_gets_its_answers(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application()))
    await client.send(GET + GET)
    client.shut()
    assert [(await client.response()).status for _ in range(2)] == [200, 200]
    assert await client.ended()


async def test_a_half_closed_client_gets_the_answers_to_all_that_it_sent_ahead(
    serve: Serve, connect: Connect
) -> None:
    app = Application(answer=None)
    server = await serve(app)
    client = await connect(server)
    exchange = await begun(server, client, app)
    await client.send(GET * 3000)
    client.shut()
    app.answer = lambda e: e.connection.respond(200, (), b"x" * 100)
    exchange.connection.end()
    assert await client.exactly(5) == b"0\r\n\r\n"
    for _ in range(3000):
        assert (await client.response()).status == 200
    assert await client.ended()


async def test_a_half_closed_client_gets_a_late_answer_and_a_stream(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    client = await connect(await serve(app))
    await client.send(GET)
    client.shut()
    exchange = await app.exchange()
    assert (await client.response()).status == 100  # asked whether it is still there
    exchange.connection.begin(200, JSON)
    exchange.connection.send(b"one")
    exchange.connection.end()
    assert (await client.response()).body == b"one"
    assert await client.ended()


async def test_a_half_closed_client_gets_the_rest_of_its_stream(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    server = await serve(app)
    client = await connect(server)
    exchange = await begun(server, client, app)
    client.shut()
    assert await client.exactly(1) == b"0"  # the same question: a leading zero of the next chunk
    exchange.connection.send(b"two")
    assert await client.chunk() == b"two"
    exchange.connection.end()
    assert await client.chunk() == b""
    assert await client.ended()
    assert exchange.told == []


async def test_abort_ends_a_stream_so_that_the_client_knows(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    server = await serve(app)
    client = await connect(server)
    exchange = await begun(server, client, app)
    exchange.connection.abort()
    assert await client.ended()
    assert exchange.told == []


async def test_a_stream_ends_in_peace_when_the_server_stops(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    server = await serve(app)
    client, idle, fresh = await connect(server), await connect(server), await connect(server)
    await idle.send(GET)
    (await app.exchange()).connection.respond(200, ())
    await idle.response()
    exchange = await begun(server, client, app)
    await until(lambda: server.open_connections == 3)
    stop = tasks.spawn(server.stop(30), name="stop")
    assert await idle.ended()
    assert await fresh.ended()
    with pytest.raises(ConnectionRefusedError):
        await connect(server)
    exchange.connection.send(b"last")
    assert await client.chunk() == b"last"
    assert not stop.done()
    exchange.connection.end()
    assert await client.chunk() == b""
    assert await client.ended()
    await stop


async def test_an_answer_while_the_server_stops_says_that_the_connection_closes(
    serve: Serve, connect: Connect
) -> None:
    app = Application(answer=None)
    server = await serve(app)
    client = await connect(server)
    await client.send(GET)
    exchange = await app.exchange()
    stop = tasks.spawn(server.stop(30), name="stop")
    await asyncio.sleep(0)
    exchange.connection.respond(200, ())
    assert (await client.response()).headers["Connection"] == "close"
    assert await client.ended()
    await stop


async def test_what_does_not_end_in_time_is_cut_when_the_server_stops(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    server = await serve(app)
    client = await connect(server)
    exchange = await begun(server, client, app)
    await server.stop(0.01)
    assert exchange.told == ["close callback"]
    assert await client.ended()


@pytest.mark.expected_log("request failed", "a bug")
async def test_an_exception_before_the_answer_gives_500_and_is_logged_once(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connect(await serve(Application(raising)))
    await client.send(GET)
    response = await client.response()
    assert (response.status, response.json()["error"]["code"]) == (500, "internal_error")
    assert await client.ended()
    assert [record.message for record in caplog.records] == ["request failed"]


@pytest.mark.expected_log("request failed")
async def test_an_exception_within_the_answer_cuts_it(serve: Serve, connect: Connect) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.connection.begin(200, ())
        exchange.connection.send(b"half")
        raising(exchange)

    client = await connect(await serve(Application(answer)))
    await client.send(GET)
    assert not (await client.until_end()).endswith(b"0\r\n\r\n")


@pytest.mark.expected_log("request failed")
async def test_an_exception_after_the_answer_harms_nobody(serve: Serve, connect: Connect) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.connection.respond(200, ())
        raising(exchange)

    client = await connect(await serve(Application(answer)))
    for _ in range(2):
        await client.send(GET)
        assert (await client.response()).status == 200


@pytest.mark.expected_log("close callback failed")
async def test_an_exception_in_a_close_callback_is_logged(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    server = await serve(app)
    client = await connect(server)
    await client.send(GET)
    exchange = await app.exchange()
    exchange.connection.set_close_callback(lambda: raising(exchange))
    client.reset()
    await until(lambda: server.open_connections == 0)
    assert server.active_requests == 0


async def test_headers_cannot_smuggle_lines_into_an_answer(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    client = await connect(await serve(app))
    await client.send(GET)
    connection = (await app.exchange()).connection
    for value in ("a\r\nX: b", "a\nX: b", "a\rb", "a\0"):
        with pytest.raises(ValueError, match="line breaks"):
            connection.respond(200, (("X", value),))
        with pytest.raises(ValueError, match="line breaks"):
            connection.begin(200, (("X", value),))
    connection.respond(200, (("X", "\xe4"),))
    assert (await client.response()).headers["X"] == "\xe4"


async def test_an_exchange_is_answered_once(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    client = await connect(await serve(app))
    await client.send(GET)
    connection = (await app.exchange()).connection
    with pytest.raises(RuntimeError):
        connection.send(b"x")
    with pytest.raises(RuntimeError):
        connection.end()
    connection.begin(200, ())
    for again in (connection.begin, connection.respond):
        with pytest.raises(RuntimeError):
            again(200, ())
    connection.end()
    connection.end()
    connection.respond(200, (), b"dropped")
    assert (await client.response()).body == b""
    await client.send(GET)
    (await app.exchange(1)).connection.respond(200, (), b"second")
    assert (await client.response()).body == b"second"


async def test_sockets_and_requests_are_back_where_they_were_after_fifty_exchanges(
    serve: Serve, connect: Connect
) -> None:
    app = Application(answer=None)
    server = await serve(app)
    for n in range(50):
        client = await connect(server)
        exchange = await begun(server, client, app)
        if n % 2:
            client.reset()
            await until(lambda exchange=exchange: exchange.told)  # type: ignore[misc]
        else:
            exchange.connection.end()
            assert await client.chunk() == b""
            client.close()
    await until(lambda: server.open_connections == 0)
    assert server.active_requests == 0
