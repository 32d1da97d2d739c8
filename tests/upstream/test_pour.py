"""A body that is poured into a sink: as it arrives, with back-pressure, until something ends it."""

import asyncio
from collections.abc import Awaitable

import pytest

from oneapi.errors import Failure, UpstreamError
from oneapi.upstream import Client, Timeouts
from tests.upstream.conftest import Serve
from tests.upstream.peer import Peer, start, until

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LEAVE = b"leave"


class Sink:
    """Keeps what it gets; may fail, have enough, or ask to be waited for."""

    def __init__(self, *, fails_at: bytes = b"", enough_at: bytes = b"") -> None:
        self.got = b""
        self.done = False
        self.wait: asyncio.Future[None] | None = None
        self._fails_at = fails_at
        self._enough_at = enough_at

    def take(self, piece: bytes) -> Awaitable[None] | None:
        assert piece
        self.got += piece
        if self._fails_at and self._fails_at in self.got:
            raise ValueError("the sink is broken")
        self.done = bool(self._enough_at) and self._enough_at in self.got
        return self.wait


class Steps:
    """A peer that sends one piece each time it is told to."""

    def __init__(self) -> None:
        self.todo: asyncio.Queue[bytes] = asyncio.Queue()

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD)
        while data := await self.todo.get():
            if data == LEAVE:
                peer.close()
                return
            await peer.send(data)

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.todo.put_nowait(b"%x\r\n%b\r\n" % (len(piece), piece))

    def end(self) -> None:
        self.todo.put_nowait(b"0\r\n\r\n")
        self.todo.put_nowait(b"")


async def test_pieces_reach_the_sink_as_they_arrive_and_in_order(client: Client, serve: Serve) -> None:
    steps, sink = Steps(), Sink()
    server = await serve(steps)
    response = await client.send(server.request())
    pouring = start(response.pour(sink))
    for number in range(5):
        steps.send(b"%d" % number)
        await until(lambda: sink.got.endswith(b"%d" % number))  # noqa: B023  used at once
    steps.send(b"a", b"b", b"c")
    steps.end()
    await pouring
    assert sink.got == b"01234abc"
    assert client.idle_connections == 1


async def test_what_the_sink_raises_comes_out_of_pour_and_nothing_more_goes_in(
    client: Client, serve: Serve
) -> None:
    steps, sink = Steps(), Sink(fails_at=b"2")
    server = await serve(steps)
    response = await client.send(server.request())
    pouring = start(response.pour(sink))
    steps.send(b"1")
    await until(lambda: sink.got == b"1")
    steps.send(b"2")
    with pytest.raises(ValueError, match="the sink is broken"):
        await pouring
    steps.send(b"3")
    assert sink.got == b"12"
    response.close()
    steps.end()
    await server.no_connections()


async def test_a_sink_that_has_enough_ends_the_pouring(client: Client, serve: Serve) -> None:
    steps, sink = Steps(), Sink(enough_at=b"2")
    server = await serve(steps)
    response = await client.send(server.request())
    pouring = start(response.pour(sink))
    steps.send(b"1")
    await until(lambda: sink.got == b"1")
    steps.send(b"2")
    await pouring
    assert sink.got == b"12"
    response.close()
    steps.end()
    await server.no_connections()


async def test_a_slow_sink_is_waited_for(client: Client, serve: Serve) -> None:
    steps, sink = Steps(), Sink()
    server = await serve(steps)
    response = await client.send(server.request())
    pouring = start(response.pour(sink))
    steps.send(b"1")
    await until(lambda: sink.got == b"1")
    slow = sink.wait = asyncio.get_running_loop().create_future()
    steps.send(b"2")
    await until(lambda: sink.got == b"12")
    steps.send(b"3", b"4")
    steps.end()
    await until(lambda: client.idle_connections == 1)  # all of it is here
    assert sink.got == b"12"
    sink.wait = None
    slow.set_result(None)
    await pouring
    assert sink.got == b"1234"


async def test_silence_while_pouring_is_limited(client: Client, serve: Serve) -> None:
    steps, sink = Steps(), Sink()
    server = await serve(steps)
    response = await client.send(server.request(), timeouts=Timeouts(idle_s=0.1))
    steps.send(b"1")
    with pytest.raises(UpstreamError) as caught:
        await response.pour(sink)
    assert caught.value.failure is Failure.TIMEOUT
    assert sink.got == b"1"
    steps.end()
    await server.no_connections()


async def test_a_cancel_while_pouring_closes_the_socket(client: Client, serve: Serve) -> None:
    steps, sink = Steps(), Sink()
    server = await serve(steps)
    response = await client.send(server.request())
    pouring = start(response.pour(sink))
    steps.send(b"1")
    await until(lambda: sink.got == b"1")
    pouring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pouring
    assert client.idle_connections == 0
    steps.end()
    await server.no_connections()


async def test_an_answer_that_breaks_off_while_pouring_is_an_error(client: Client, serve: Serve) -> None:
    steps, sink = Steps(), Sink()
    server = await serve(steps)
    response = await client.send(server.request())
    pouring = start(response.pour(sink))
    steps.send(b"1")
    await until(lambda: sink.got == b"1")
    steps.send(b"2")
    steps.todo.put_nowait(LEAVE)
    with pytest.raises(UpstreamError) as caught:
        await pouring
    assert caught.value.failure is Failure.NETWORK
    assert sink.got == b"12"
