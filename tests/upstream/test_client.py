"""Whole exchanges over kept connections."""

import asyncio
import gc
import socket
import ssl
import threading

import pytest

from oneapi.errors import Failure, UpstreamError
from oneapi.upstream import Client
from oneapi.upstream.connection import Connection
from oneapi.wire import UpstreamRequest
from tests.upstream.conftest import Serve
from tests.upstream.peer import Peer, answers, chunked, reply, start, until

LIMIT = 1 << 20


async def exchange(client: Client, request: UpstreamRequest) -> tuple[int, bytes]:
    response = await client.send(request)
    try:
        return response.status, await response.read(LIMIT)
    finally:
        response.close()


async def test_a_request_arrives_as_it_was_given(client: Client, serve: Serve) -> None:
    server = await serve(answers(reply(b"answer", headers="X-One: 1\r\nx-one: 2\r\n")))
    request = UpstreamRequest(
        "POST", server.url + "?a=b c", (("Authorization", "Bearer k"), ("X-Name", "prüf")), b'{"a":1}'
    )
    response = await client.send(request)
    assert response.status == 200
    assert await response.read(LIMIT) == b"answer"
    assert response.headers == (("x-one", "1"), ("x-one", "2"), ("content-length", "6"))
    assert response.header("x-one") == "1"
    assert response.header("x-two") == ""
    (seen,) = server.seen
    assert seen.line == "POST /v1/chat?a=b%20c HTTP/1.1"
    assert seen.body == b'{"a":1}'
    assert seen.header("host") == f"localhost:{server.port}"
    assert seen.header("authorization") == "Bearer k"
    assert seen.header("x-name") == "prüf"
    assert seen.header("accept-encoding") == "identity"
    assert (seen.header("user-agent") or "").startswith("one-api/")
    assert seen.header("content-length") == "7"


async def test_framing_headers_of_the_caller_do_not_reach_the_wire(client: Client, serve: Serve) -> None:
    server = await serve(answers(reply()))
    headers = (
        ("Content-Length", "99"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Host", "other.example"),
        ("User-Agent", "mine"),
        ("Accept-Encoding", "gzip"),
    )
    await exchange(client, server.request(headers=headers, body=b"abc"))
    (seen,) = server.seen
    assert [name for name, _ in seen.headers] == ["Host", "User-Agent", "Accept-Encoding", "Content-Length"]
    assert seen.header("content-length") == "3"
    assert seen.header("host") == "other.example"
    assert seen.header("user-agent") == "mine"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
async def test_a_header_with_a_line_break_is_not_sent(client: Client, serve: Serve, value: str) -> None:
    server = await serve(answers(reply()))
    with pytest.raises(UpstreamError, match="line break"):
        await client.send(server.request(headers=(("Authorization", value),)))
    assert server.peers == []


async def test_text_beyond_latin_1_goes_out_as_utf_8(client: Client, serve: Serve) -> None:
    server = await serve(answers(reply()))
    await exchange(client, server.request(headers=(("X-Title", "网关"),)))
    assert (server.seen[0].header("x-title") or "").encode("latin-1").decode() == "网关"


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_connection_is_used_again(
    client: Client, serve: Serve, server_tls: ssl.SSLContext, secure: bool
) -> None:
    server = await serve(answers(reply(b"one"), chunked(b"tw", b"o")), server_tls if secure else None)
    assert await exchange(client, server.request()) == (200, b"one")
    assert await exchange(client, server.request()) == (200, b"two")
    assert await exchange(client, server.request()) == (200, b"two")
    assert len(server.peers) == 1
    assert (client.open_connections, client.idle_connections) == (1, 1)


async def test_parallel_exchanges_have_a_connection_each_and_the_last_freed_is_used_first(
    client: Client, serve: Serve
) -> None:
    server = await serve(answers(reply()))
    first, second = await client.send(server.request()), await client.send(server.request())
    # Both answers are small enough to be whole with their heads, so both connections are free again.
    assert len(server.peers) == 1
    first.close()
    second.close()
    await asyncio.gather(*(exchange(client, server.request()) for _ in range(5)))
    assert len(server.peers) == 5
    assert client.idle_connections == 5


async def test_no_more_idle_connections_are_kept_than_allowed(serve: Serve) -> None:
    client = Client(idle_per_origin=2)
    server = await serve(answers(reply()))
    await asyncio.gather(*(exchange(client, server.request()) for _ in range(5)))
    assert client.idle_connections == 2
    await server.until(lambda: len(server.peers) == 5)
    await client.close()
    assert client.open_connections == client.idle_connections == 0
    await server.no_connections()


async def test_an_idle_connection_is_closed_after_its_time(serve: Serve) -> None:
    client = Client(idle_s=0.02, sweep_s=0.01)
    server = await serve(answers(reply()))
    await exchange(client, server.request())
    await server.until(lambda: len(server.peers) == 1)
    await server.no_connections()
    await until(lambda: client.open_connections == 0)
    await client.close()


@pytest.mark.parametrize(
    ("hint", "kept"),
    [("timeout=1", False), ("timeout=60, max=100", True), ("max=5", True), ("timeout=x", True)],
)
async def test_a_connection_is_not_kept_longer_than_the_peer_says(
    client: Client, serve: Serve, hint: str, kept: bool
) -> None:
    server = await serve(answers(reply(headers=f"Keep-Alive: {hint}\r\n")))
    await exchange(client, server.request())
    await exchange(client, server.request())
    assert len(server.peers) == (1 if kept else 2)


@pytest.mark.parametrize(
    "answer",
    [
        reply(headers="Connection: close\r\n"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        reply() + b"garbage",
        reply() + reply(b"an answer that nobody asked for"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
    ids=["connection close", "http/1.0", "garbage behind", "second answer behind", "length and chunks"],
)
async def test_a_connection_of_unclear_state_is_not_used_again(
    client: Client, serve: Serve, answer: bytes
) -> None:
    server = await serve(answers(answer))
    assert await exchange(client, server.request()) == (200, b"ok")
    assert client.idle_connections == 0
    assert await exchange(client, server.request()) == (200, b"ok")
    assert len(server.peers) == 2


@pytest.mark.parametrize("stray", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"], ids=["eof", "stray bytes"])
async def test_a_connection_that_ends_while_idle_is_dropped(
    client: Client, serve: Serve, stray: bytes
) -> None:
    answered = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(reply())
        if peer.number == 0:
            await answered.wait()
            if stray:
                await peer.send(stray)
            else:
                peer.close()

    server = await serve(script)
    await exchange(client, server.request())
    assert client.idle_connections == 1
    answered.set()
    await until(lambda: client.idle_connections == 0)
    assert await exchange(client, server.request()) == (200, b"ok")
    assert len(server.peers) == 2


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_close_that_came_before_the_request_was_written_costs_nothing(
    client: Client, server_tls: ssl.SSLContext, secure: bool
) -> None:
    """The event loop has not seen the close yet; the kernel has."""
    listener = socket.create_server(("127.0.0.1", 0))
    closed = threading.Event()
    close = threading.Event()
    served = []

    def serve_two() -> None:
        for _ in range(2):
            sock, _ = listener.accept()
            if secure:
                sock = server_tls.wrap_socket(sock, server_side=True)
            with sock:
                request = b""
                while not request.endswith(b"\r\n\r\n{}"):
                    request += sock.recv(65536)
                served.append(request)
                sock.sendall(reply())
                close.wait()
            closed.set()

    thread = threading.Thread(target=serve_two, daemon=True)
    thread.start()
    scheme = "https" if secure else "http"
    request = UpstreamRequest("POST", f"{scheme}://localhost:{listener.getsockname()[1]}/", (), b"{}")
    assert await exchange(client, request) == (200, b"ok")
    assert client.idle_connections == 1
    close.set()
    assert closed.wait(10)  # blocks the loop: nothing tells the client
    assert client.idle_connections == 1
    assert await exchange(client, request) == (200, b"ok")
    thread.join(10)
    listener.close()
    assert len(served) == 2


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_that_the_peer_has_read_is_never_sent_twice(
    client: Client, serve: Serve, how: str, method: str
) -> None:
    async def script(peer: Peer) -> None:
        peer.seen.append(await peer.request())
        await peer.send(reply())
        peer.seen.append(await peer.request())
        peer.close() if how == "close" else peer.reset()

    server = await serve(script)
    await exchange(client, server.request(method))
    with pytest.raises(UpstreamError) as caught:
        await client.send(server.request(method))
    assert caught.value.failure is Failure.NETWORK
    assert len(server.seen) == 2
    assert len(server.peers) == 1


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", b""),
        (reply(b""), b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"after 100"), b"after 100"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply(b"after 103"), b"after 103"),
        (chunked(b"a" * 10, b"b", trailer="X-Sum: 1\r\n"), b"a" * 10 + b"b"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nlf", b"lf"),
    ],
    ids=["204", "304", "empty", "100 first", "103 first", "trailers", "bare line feeds"],
)
async def test_answers_are_framed_as_http_says(
    client: Client, serve: Serve, answer: bytes, body: bytes
) -> None:
    server = await serve(answers(answer))
    for _ in range(2):
        response = await client.send(server.request())
        assert await response.read(LIMIT) == body
        assert response.header("link") == response.header("x-sum") == ""
        response.close()
    assert len(server.peers) == 1


async def test_the_answer_to_head_has_no_body(client: Client, serve: Serve) -> None:
    server = await serve(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
    response = await client.send(server.request("HEAD", b""))
    assert await response.read(LIMIT) == b""
    assert response.header("content-length") == "1000"
    response.close()
    await server.no_connections()


async def test_a_body_without_length_ends_with_the_connection(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nuntil ")
        await peer.send(b"the end")
        peer.close()

    server = await serve(script)
    assert await exchange(client, server.request()) == (200, b"until the end")


@pytest.mark.parametrize("size", [1, 7])
async def test_an_answer_may_be_cut_anywhere(client: Client, serve: Serve, size: int) -> None:
    answer = chunked(b"data: 1\n\n", b"data: 2\n\n", headers="X-A: b\r\n", trailer="X-T: 1\r\n")

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            for at in range(0, len(answer), size):
                await peer.send(answer[at : at + size])
                await asyncio.sleep(0)

    server = await serve(script)
    for _ in range(3):
        response = await client.send(server.request())
        assert response.headers == (("x-a", "b"), ("transfer-encoding", "chunked"))
        assert await response.read(LIMIT) == b"data: 1\n\ndata: 2\n\n"
    assert len(server.peers) == 1


async def test_pieces_are_handed_out_as_they_arrive(client: Client, serve: Serve) -> None:
    ready = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            await ready.wait()
            ready.clear()
            await peer.send(b"5\r\nhello\r\n")
        await ready.wait()
        await peer.send(b"0\r\n\r\n")

    server = await serve(script)
    response = await client.send(server.request())
    for _ in range(3):
        ready.set()
        assert await response.piece() == b"hello"
    ready.set()
    assert await response.piece() == b""
    assert await response.piece() == b""
    assert client.idle_connections == 1


async def test_what_has_arrived_is_read_without_waiting(client: Client, serve: Serve) -> None:
    server = await serve(answers(reply(b"whole")))
    response = await client.send(server.request())
    reading = response.read(LIMIT)
    with pytest.raises(StopIteration) as done:
        reading.send(None)
    assert done.value.value == b"whole"


async def test_closing_an_unfinished_answer_closes_the_socket(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")

    server = await serve(script)
    response = await client.send(server.request())
    assert await response.piece() == b"hello"
    response.close()
    response.close()
    await server.no_connections()
    with pytest.raises(UpstreamError, match="given up"):
        await response.piece()


async def test_closing_the_client_ends_exchanges_under_way(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")

    server = await serve(script)
    response = await client.send(server.request())
    reading = start(response.piece())
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(UpstreamError, match="shutting down"):
        await reading
    await server.no_connections()
    with pytest.raises(UpstreamError):
        await client.send(server.request())
    await server.no_connections()


async def test_many_addresses_do_not_fill_the_memory(client: Client, serve: Serve) -> None:
    server = await serve(answers(reply()))
    for number in range(1002):
        url = f"{server.url}?n={number}"
        assert await exchange(client, UpstreamRequest("GET", url, (("X-N", str(number)),))) == (200, b"ok")
    assert [seen.header("x-n") for seen in server.seen] == [str(number) for number in range(1002)]
    assert len(server.peers) == 1


async def test_redirects_are_answers(client: Client, serve: Serve) -> None:
    server = await serve(answers(reply(status="302 Found", headers="Location: /elsewhere\r\n")))
    response = await client.send(server.request())
    assert (response.status, response.header("location")) == (302, "/elsewhere")
    assert len(server.seen) == 1


async def test_fifty_exchanges_half_of_them_cut_off_leave_nothing(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(chunked(b"x" * 100)[:-5])
            if await peer.reader.read(1) == b"":
                return

    server = await serve(script)
    tasks_before = len(asyncio.all_tasks())
    for turn in range(50):
        response = await client.send(server.request())
        assert await response.piece()
        if turn % 2:
            reading = start(response.piece())
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        response.close()
    await server.no_connections()
    await until(lambda: client.open_connections == 0)
    assert len(asyncio.all_tasks()) == tasks_before


async def test_connections_are_freed_without_the_cycle_collector(client: Client, serve: Serve) -> None:
    server = await serve(answers(reply(headers="Connection: close\r\n")))
    await exchange(client, server.request())
    await server.no_connections()
    gc.collect()
    gc.disable()
    try:
        before = connections()
        for _ in range(3):
            await exchange(client, server.request())
        await server.no_connections()
        assert connections() == before
    finally:
        gc.enable()


def connections() -> int:
    """How many connections to upstreams are in memory; those of other tests count, too."""
    return sum(isinstance(each, Connection) for each in gc.get_objects())
