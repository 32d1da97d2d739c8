"""Name look-ups: off the loop, shared, remembered briefly; and what is done with several addresses."""

import asyncio
import socket
import threading

import pytest

from oneapi.errors import UpstreamError
from oneapi.upstream import Client, Timeouts
from oneapi.upstream.resolver import Resolver
from oneapi.wire import UpstreamRequest
from tests.upstream.conftest import Serve
from tests.upstream.peer import answers, reply, start

Found = list[tuple[object, ...]]


class Names:
    """What the system's resolver says; ``answer`` may be changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer: list[str] | OSError = ["192.0.2.1"]
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        monkeypatch.setattr(socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, host: str, port: int, **_: object) -> Found:
        self.asked += 1
        assert self.may_answer.wait(10)
        if isinstance(self.answer, OSError):
            raise self.answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.answer]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


async def test_an_answer_is_remembered_and_a_failure_is_not(names: Names) -> None:
    resolver = Resolver()
    names.answer = socket.gaierror(-2, "no")
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await resolver.addresses("name.test", 80)
    names.answer = ["192.0.2.1"]
    for _ in range(2):
        assert await resolver.addresses("name.test", 80) == ["192.0.2.1"]
    assert names.asked == 3


async def test_an_answer_is_forgotten_after_its_time(names: Names) -> None:
    resolver = Resolver(keep_s=0)
    await resolver.addresses("name.test", 80)
    names.answer = ["192.0.2.2"]
    assert await resolver.addresses("name.test", 80) == ["192.0.2.2"]


async def test_many_names_do_not_fill_the_memory(names: Names) -> None:
    resolver = Resolver()
    for number in range(1001):
        await resolver.addresses(f"name-{number}.test", 80)
    await resolver.addresses("name-1000.test", 80)
    assert names.asked == 1001
    await resolver.addresses("name-0.test", 80)
    assert names.asked == 1002


async def test_one_look_up_serves_all_who_wait_for_it(names: Names) -> None:
    resolver = Resolver()
    names.may_answer.clear()
    waiting = [start(resolver.addresses("name.test", 80)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    names.may_answer.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert await asyncio.gather(*waiting[1:]) == [["192.0.2.1"]] * 4
    assert names.asked == 1


async def test_a_slow_look_up_does_not_hold_up_the_loop_and_is_given_up(client: Client, names: Names) -> None:
    names.may_answer.clear()
    with pytest.raises(UpstreamError, match="in time"):
        await client.send(UpstreamRequest("GET", "http://name.test/", ()), timeouts=Timeouts(connect_s=0.05))
    names.may_answer.set()


async def test_the_next_address_is_tried_and_the_good_one_remembered(
    client: Client, serve: Serve, names: Names
) -> None:
    """Nothing listens on the first address."""
    server = await serve(answers(reply(headers="Connection: close\r\n")))
    names.answer = ["127.0.0.2", "127.0.0.1"]
    resolver = Resolver()
    own = Client(resolver=resolver)
    for _ in range(2):
        response = await own.send(UpstreamRequest("GET", f"http://name.test:{server.port}/", ()))
        assert await response.read(10) == b"ok"
    assert await resolver.addresses("name.test", server.port) == ["127.0.0.1", "127.0.0.2"]
    assert names.asked == 1
    await own.close()


async def test_a_name_whose_addresses_all_fail_is_asked_for_again(client: Client, names: Names) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    names.answer = ["127.0.0.1", "127.0.0.2"]
    for _ in range(2):
        with pytest.raises(UpstreamError, match="connection refused"):
            await client.send(UpstreamRequest("GET", f"http://name.test:{port}/", ()))
    assert names.asked == 2


async def test_a_name_without_addresses_cannot_be_reached(client: Client, names: Names) -> None:
    names.answer = []
    with pytest.raises(UpstreamError, match="could not be reached"):
        await client.send(UpstreamRequest("GET", "http://name.test/", ()))
