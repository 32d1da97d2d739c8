"""Large bodies in both directions: memory stays flat, and early answers are heard."""

import asyncio
import ssl

import pytest

from oneapi.errors import Failure, UpstreamError
from oneapi.upstream import Client, Timeouts
from tests.upstream.conftest import Serve
from tests.upstream.peer import Peer, answers, chunked, reply, start, until

LARGE = 8 * 1024 * 1024


async def test_a_stalled_reader_stops_the_upstream(client: Client, serve: Serve) -> None:
    total = 64 * 1024 * 1024
    written = 0
    block = b"x" * 65536

    async def script(peer: Peer) -> None:
        nonlocal written
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while written < total:
            await peer.send(block)
            written += len(block)

    server = await serve(script)
    response = await client.send(server.request())
    before = -1
    while before != written:  # until the server cannot write any more
        before = written
        await asyncio.sleep(0.05)
    assert 0 < written < 16 * 1024 * 1024
    received = 0
    while piece := await response.piece():
        assert len(piece) <= 1024 * 1024
        received += len(piece)
    assert received == total
    assert client.idle_connections == 1
    response.close()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_connection_is_free_again_after_a_paused_answer(
    client: Client, serve: Serve, server_tls: ssl.SSLContext, secure: bool
) -> None:
    body = b"y" * 3_000_000
    server = await serve(
        answers(reply(body), chunked(body[:1_000_000], body[1_000_000:])), server_tls if secure else None
    )
    for _ in range(3):
        response = await client.send(server.request())
        await asyncio.sleep(0.01)
        assert await response.read(len(body)) == body
    assert len(server.peers) == 1


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_large_request_arrives_whole(
    client: Client, serve: Serve, server_tls: ssl.SSLContext, secure: bool
) -> None:
    body = bytes(range(256)) * (LARGE // 256)
    server = await serve(answers(reply()), server_tls if secure else None)
    for _ in range(2):
        response = await client.send(server.request(body=body))
        assert await response.read(10) == b"ok"
    assert [seen.body == body for seen in server.seen] == [True, True]
    assert len(server.peers) == 1


async def test_a_refusal_is_heard_while_the_request_is_still_being_sent(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        await peer.request_head()
        await peer.send(reply(b"too large", status="413 Payload Too Large"))

    server = await serve(script)
    response = await client.send(server.request(body=b"x" * 4 * LARGE))
    assert response.status == 413
    assert await response.read(100) == b"too large"
    response.close()
    await until(lambda: client.open_connections == 0)


async def test_a_refusal_that_closes_the_connection_is_heard(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        await peer.request_head()
        await peer.send(reply(b"bad key", status="401 Unauthorized", headers="Connection: close\r\n"))
        peer.close()

    server = await serve(script)
    response = await client.send(server.request(body=b"x" * 4 * LARGE))
    assert (response.status, await response.read(100)) == (401, b"bad key")
    response.close()
    await server.no_connections()


async def test_an_early_success_does_not_end_the_request(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        head = await peer.request_head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        await peer.reader.readexactly(int(head.header("content-length") or 0))
        await peer.send(b"done")

    server = await serve(script)
    response = await client.send(server.request(body=b"x" * LARGE))
    assert await response.read(10) == b"done"


async def test_a_request_that_nobody_reads_is_given_up(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        await peer.request_head()
        await stop.wait()

    stop = asyncio.Event()
    server = await serve(script)
    with pytest.raises(UpstreamError) as caught:
        await client.send(server.request(body=b"x" * 8 * LARGE), timeouts=Timeouts(idle_s=0.05))
    assert caught.value.failure is Failure.TIMEOUT
    stop.set()
    await server.no_connections()


async def test_a_peer_that_leaves_while_the_request_is_sent(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        await peer.request_head()
        peer.reset()

    server = await serve(script)
    with pytest.raises(UpstreamError) as caught:
        await client.send(server.request(body=b"x" * 8 * LARGE))
    assert caught.value.failure is Failure.NETWORK


async def test_a_cancel_while_the_request_is_sent_closes_the_socket(client: Client, serve: Serve) -> None:
    reading = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request_head()
        reading.set()
        await stop.wait()

    stop = asyncio.Event()
    server = await serve(script)
    task = start(client.send(server.request(body=b"x" * 8 * LARGE)))
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stop.set()
    await until(lambda: client.open_connections == 0)
    await server.no_connections()
