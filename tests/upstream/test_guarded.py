"""URLs that users give: what is fetched, and what is refused before a byte leaves."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from oneapi.errors import ClientError
from oneapi.upstream.guarded import GuardedFetch, is_public
from tests.upstream.conftest import Serve
from tests.upstream.peer import Peer, Script, answers, chunked, reply

IMAGE = b"\x89PNG" + b"x" * 1000


@pytest.fixture
async def open_fetch() -> AsyncIterator[GuardedFetch]:
    """May reach the servers of the tests."""
    fetch = GuardedFetch(allow_private=True)
    yield fetch
    await fetch.close()


@pytest.fixture
async def fetch() -> AsyncIterator[GuardedFetch]:
    fetch = GuardedFetch()
    yield fetch
    await fetch.close()


async def refused(fetch: GuardedFetch, url: str, *, max_bytes: int = 10_000, timeout_s: float = 5.0) -> str:
    with pytest.raises(ClientError) as caught:
        await fetch.fetch(url, max_bytes=max_bytes, timeout_s=timeout_s)
    assert caught.value.status == 400
    assert caught.value.message.startswith("the given URL could not be fetched: ")
    return caught.value.message


async def test_an_image_is_fetched(open_fetch: GuardedFetch, serve: Serve) -> None:
    server = await serve(answers(reply(IMAGE, headers="Content-Type: image/png\r\n"), chunked(IMAGE)))
    assert await open_fetch.fetch(server.url, max_bytes=len(IMAGE), timeout_s=5) == ("image/png", IMAGE)
    assert await open_fetch.fetch(server.url, max_bytes=len(IMAGE), timeout_s=5) == ("", IMAGE)
    assert server.seen[0].line == "GET /v1/chat HTTP/1.1"
    assert server.seen[0].header("authorization") is None


async def test_the_name_is_looked_up_once_and_kept_in_host(
    open_fetch: GuardedFetch, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name whose second look-up would give another address has no second look-up."""
    server = await serve(answers(reply(IMAGE)))
    asked = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.99.99.99"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = f"http://images.test:{server.port}/a.png"
    assert (await open_fetch.fetch(url, max_bytes=2000, timeout_s=5))[1] == IMAGE
    assert server.seen[0].header("host") == f"images.test:{server.port}"
    assert asked == ["images.test"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ],
)
async def test_the_local_network_is_not_reached(fetch: GuardedFetch, serve: Serve, host: str) -> None:
    server = await serve(answers(reply(IMAGE)))
    assert "not on the public internet" in await refused(fetch, f"http://{host}:{server.port}/")
    assert server.peers == []


async def test_a_name_for_a_private_address_is_refused(
    fetch: GuardedFetch, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(answers(reply(IMAGE)))
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert "not on the public internet" in await refused(fetch, f"http://evil.test:{server.port}/")
    assert server.peers == []


async def test_redirects_are_followed_three_times(open_fetch: GuardedFetch, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        while True:
            seen = await peer.request()
            peer.seen.append(seen)
            left = int(seen.line.split()[1].rpartition("/")[2])
            location = f"Location: {'/a/' if left % 2 else ''}{left - 1}\r\n"
            await peer.send(reply(IMAGE) if left == 0 else reply(b"", status="302 Found", headers=location))

    server = await serve(script)
    base = f"http://localhost:{server.port}/a/"
    assert (await open_fetch.fetch(base + "3", max_bytes=2000, timeout_s=5))[1] == IMAGE
    assert [seen.line.split()[1] for seen in server.seen] == ["/a/3", "/a/2", "/a/1", "/a/0"]
    assert "too many redirects" in await refused(open_fetch, base + "4")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://localhost/", "", "http://[bad/"])
async def test_every_redirect_is_checked(open_fetch: GuardedFetch, serve: Serve, location: str) -> None:
    server = await serve(answers(reply(b"", status="302 Found", headers=f"Location: {location}\r\n")))
    message = await refused(open_fetch, server.url)
    assert "not a valid http or https URL" in message or "too many redirects" in message


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://h/", "data:,x", "h", "", "http://", "http://[bad/"]
)
async def test_only_http_and_https_are_fetched(fetch: GuardedFetch, url: str) -> None:
    assert "not a valid http or https URL" in await refused(fetch, url)


async def after_nothing(peer: Peer) -> None:
    """Never answers."""


async def trickles(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await peer.send(b"x")
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (answers(reply(b"", status="404 Not Found")), "status 404"),
        (answers(reply(b"x" * 10_001)), "larger than 10000 bytes"),
        (answers(chunked(b"x" * 6000, b"x" * 6000)), "larger than 10000 bytes"),
        (answers(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx"), "took too long"),
        (answers(b"what?\r\n\r\n"), "not valid"),
        (after_nothing, "took too long"),
        (trickles, "took too long"),
        (lambda peer: asyncio.sleep(0, peer.reset()), "could not be reached or broke off"),
    ],
    ids=["404", "large", "large chunks", "cut off", "garbage", "silence", "trickle", "reset"],
)
async def test_a_server_that_misbehaves_is_named_plainly(
    open_fetch: GuardedFetch, serve: Serve, script: Script, text: str
) -> None:
    server = await serve(script)
    message = await refused(open_fetch, server.url, timeout_s=0.5)
    assert text in message
    assert "localhost" not in message
    await open_fetch.close()
    await server.no_connections()


async def test_through_a_proxy_names_are_the_proxys_to_look_up(serve: Serve) -> None:
    proxy = await serve(answers(reply(IMAGE)))
    fetch = GuardedFetch(proxy=f"http://127.0.0.1:{proxy.port}")
    assert (await fetch.fetch("http://images.test/a.png", max_bytes=2000, timeout_s=5))[1] == IMAGE
    assert (await fetch.fetch("http://8.8.8.8/a.png", max_bytes=2000, timeout_s=5))[1] == IMAGE
    assert [seen.header("host") for seen in proxy.seen] == ["images.test", "8.8.8.8"]
    for host in ("127.0.0.1", "localhost", "a.localhost", "[::1]", "2130706433", "169.254.169.254"):
        assert "not on the public internet" in await refused(fetch, f"http://{host}/")
    assert len(proxy.seen) == 2
    await fetch.close()


PRIVATE = """
    127.0.0.1 10.0.0.1 172.16.1.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 240.0.0.1
    255.255.255.255 192.0.2.1 198.18.0.1 ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd00::1 fec0::1 ff02::1
    ::ffff:10.0.0.1 ::10.0.0.1 2002:0a00:0001:: 64:ff9b::10.0.0.1 2001:db8::1
"""
PUBLIC = "8.8.8.8 1.1.1.1 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::"


@pytest.mark.parametrize("address", PRIVATE.split())
def test_an_address_that_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_an_address_that_is_public(address: str) -> None:
    assert is_public(address)
