"""Proxies: small ones that really connect on, and ones that refuse."""

import asyncio
import ssl
from base64 import b64encode

import pytest

from oneapi.errors import Failure, UpstreamError
from oneapi.upstream import Client, ProxyRules, Timeouts, proxies
from oneapi.wire import UpstreamRequest
from tests.upstream.conftest import Serve
from tests.upstream.peer import Peer, Script, Server, answers, reply, start

LIMIT = 1000


async def join(peer: Peer, host: str, port: int) -> None:
    """Carry bytes both ways until one side ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1" if host == "target.test" else host, port)

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    ways = [start(carry(peer.reader, writer)), start(carry(reader, peer.writer))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.transport.abort()
        peer.writer.transport.abort()


async def http_proxy(peer: Peer) -> None:
    seen = await peer.request_head()
    peer.seen.append(seen)
    host, _, port = seen.line.split(" ")[1].rpartition(":")
    await peer.send(b"HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n")
    await join(peer, host, int(port))


def socks_proxy(log: list[bytes], *, login: bytes | None = None) -> Script:
    async def script(peer: Peer) -> None:
        reader = peer.reader
        methods = await reader.readexactly((await reader.readexactly(2))[1])
        assert (2 in methods) == (login is not None)
        await peer.send(b"\x05\x02" if login else b"\x05\x00")
        if login is not None:
            assert await reader.readexactly(len(login)) == login
            await peer.send(b"\x01\x00")
        kind = (await reader.readexactly(4))[3]
        size = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        name = await reader.readexactly(size)
        port = int.from_bytes(await reader.readexactly(2), "big")
        log.append(name)
        await peer.send(
            b"\x05\x00\x00\x03\x04host\x00\x50" if kind == 3 else b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x50"
        )
        await join(peer, name.decode() if kind == 3 else "127.0.0.1", port)

    return script


async def read(client: Client, request: UpstreamRequest, proxy: str | None) -> bytes:
    response = await client.send(request, proxy=proxy)
    try:
        return await response.read(LIMIT)
    finally:
        response.close()


def at(server: Server, name: str = "localhost", path: str = "/x") -> UpstreamRequest:
    return UpstreamRequest("POST", f"{server.url.partition(':')[0]}://{name}:{server.port}{path}", (), b"{}")


async def test_https_goes_through_a_tunnel_of_an_http_proxy(
    client: Client, serve: Serve, server_tls: ssl.SSLContext
) -> None:
    target, proxy = await serve(answers(reply(b"secure")), server_tls), await serve(http_proxy)
    url = f"http://us%40er:p%3Aw@127.0.0.1:{proxy.port}"
    for _ in range(2):
        assert await read(client, at(target), url) == b"secure"
    (seen,) = proxy.seen
    assert seen.line == f"CONNECT localhost:{target.port} HTTP/1.1"
    assert seen.header("proxy-authorization") == "Basic " + b64encode(b"us@er:p:w").decode()
    assert [request.line for request in target.seen] == ["POST /x HTTP/1.1"] * 2
    assert all(request.header("proxy-authorization") is None for request in target.seen)


async def test_http_is_handed_to_an_http_proxy_whole(client: Client, serve: Serve) -> None:
    proxy = await serve(answers(reply(b"by the proxy")))
    request = UpstreamRequest("POST", "http://target.test/a?b", (), b"{}")
    for _ in range(2):
        assert await read(client, request, f"http://user:pw@127.0.0.1:{proxy.port}") == b"by the proxy"
    assert len(proxy.peers) == 1
    seen = proxy.seen[0]
    assert seen.line == "POST http://target.test/a?b HTTP/1.1"
    assert seen.header("host") == "target.test"
    assert seen.header("proxy-authorization") == "Basic " + b64encode(b"user:pw").decode()


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("login", [False, True], ids=["no login", "login"])
async def test_socks5_looks_names_up_at_the_proxy(
    client: Client, serve: Serve, server_tls: ssl.SSLContext, secure: bool, login: bool
) -> None:
    names: list[bytes] = []
    target = await serve(answers(reply(b"through socks")), server_tls if secure else None)
    proxy = await serve(socks_proxy(names, login=b"\x01\x02me\x03pwd" if login else None))
    scheme, user = ("socks5h", "me:pwd@") if login else ("socks5", "")
    host = "localhost" if secure else "target.test"
    url = f"{scheme}://{user}127.0.0.1:{proxy.port}"
    for _ in range(2):
        assert await read(client, at(target, host), url) == b"through socks"
    assert names == [host.encode()]


async def test_socks5_takes_addresses_as_they_are(client: Client, serve: Serve) -> None:
    names: list[bytes] = []
    target = await serve(answers(reply()))
    proxy = await serve(socks_proxy(names))
    assert await read(client, at(target, "127.0.0.1"), f"socks5://127.0.0.1:{proxy.port}") == b"ok"
    with pytest.raises(UpstreamError):
        await read(client, UpstreamRequest("GET", "http://[::1]:1/", ()), f"socks5://127.0.0.1:{proxy.port}")
    assert names == [b"\x7f\0\0\1", b"\0" * 15 + b"\1"]


async def test_connections_of_different_proxies_are_kept_apart(client: Client, serve: Serve) -> None:
    target, proxy = await serve(answers(reply(b"direct"))), await serve(answers(reply(b"proxied")))
    url = f"http://127.0.0.1:{proxy.port}"
    for _ in range(2):
        assert await read(client, at(target), "") == b"direct"
        assert await read(client, at(target), url) == b"proxied"
    assert (len(target.peers), len(proxy.peers)) == (1, 1)


async def test_the_rules_of_the_client_hold_unless_the_call_names_a_proxy(serve: Serve) -> None:
    target, proxy = await serve(answers(reply(b"direct"))), await serve(answers(reply(b"proxied")))
    url = f"http://127.0.0.1:{proxy.port}"
    client = Client(proxy_rules=ProxyRules(http=url, bypass=("127.0.0.0/8",)))
    assert await read(client, at(target), None) == b"proxied"
    assert await read(client, at(target), "") == b"direct"
    assert await read(client, at(target, "127.0.0.1"), None) == b"direct"
    await client.close()


def says(*lines: bytes, close: bool = False) -> Script:
    """A proxy that answers whatever it reads with each of ``lines`` in turn."""

    async def script(peer: Peer) -> None:
        for line in lines:
            await peer.reader.read(65536)
            await peer.send(line)
        if close:
            await peer.reader.read(65536)
            peer.close()

    return script


@pytest.mark.parametrize(
    ("scheme", "script", "text"),
    [
        ("http", says(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), "HTTP status 407"),
        ("http", says(b"SSH-2.0\r\n\r\n"), "did not speak HTTP"),
        ("http", says(b"x" * 100_000), "did not speak HTTP"),
        ("http", says(close=True), "closed the connection"),
        ("http", says(b"HTTP/1.1 200 OK\r\n\r\nand more"), "the connection was closed"),
        ("socks5", says(b"HTTP/1.1"), "did not speak SOCKS5"),
        ("socks5", says(b"\x05\xff"), "a way to log in"),
        ("socks5", says(b"\x05\x02", b"\x01\x01"), "refused its user name and password"),
        ("socks5", says(b"\x05\x00", b"\x05\x05\x00\x01"), "connection refused"),
        ("socks5", says(b"\x05\x00", b"\x05\x63\x00\x01"), "unknown reason"),
        ("socks5", says(b"\x05\x00", close=True), "closed the connection"),
    ],
)
async def test_a_proxy_that_refuses_is_named_without_its_address_or_password(
    client: Client, serve: Serve, scheme: str, script: Script, text: str
) -> None:
    proxy = await serve(script)
    request = UpstreamRequest("GET", "https://target.test/?key=sk-secret", ())
    with pytest.raises(UpstreamError) as caught:
        await client.send(request, proxy=f"{scheme}://user:sk-secret@localhost:{proxy.port}")
    error = caught.value
    assert text in error.message
    assert error.failure is Failure.NETWORK
    for secret in ("localhost", "sk-secret", "user:", "target.test", str(proxy.port)):
        assert secret not in error.message
    await proxy.no_connections()


async def test_a_proxy_that_says_nothing_is_given_up(client: Client, serve: Serve) -> None:
    proxy = await serve(says())
    with pytest.raises(UpstreamError) as caught:
        await client.send(
            UpstreamRequest("GET", "https://target.test/", ()),
            proxy=f"socks5://localhost:{proxy.port}",
            timeouts=Timeouts(connect_s=0.05),
        )
    assert caught.value.failure is Failure.TIMEOUT
    await proxy.no_connections()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("turns", range(3, 11))
async def test_a_cancel_during_the_conversation_with_a_proxy_leaves_no_socket(
    client: Client, serve: Serve, scheme: str, turns: int
) -> None:
    proxy = await serve(says(b"\x05\x00"))
    request = UpstreamRequest("GET", "https://target.test/", ())
    task = start(client.send(request, proxy=f"{scheme}://127.0.0.1:{proxy.port}"))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await proxy.no_connections()


@pytest.mark.parametrize(
    "url", ["ftp://host:1", "socks4://host", "http://", "http://h:99999", "http://a b", "://"]
)
async def test_a_proxy_address_that_is_none_is_refused_without_quoting_it(client: Client, url: str) -> None:
    with pytest.raises(UpstreamError, match="proxy's address is not valid"):
        await client.send(UpstreamRequest("GET", "http://localhost/", ()), proxy=url)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("proxy.example:3128", "proxy.example", 3128),
        ("http://proxy.example", "proxy.example", 80),
        ("socks5://[::1]", "::1", 1080),
    ],
)
def test_a_proxy_address_has_the_usual_defaults(url: str, host: str, port: int) -> None:
    proxy = proxies.parse(url)
    assert (proxy.host, proxy.port) == (host, port)


def test_a_repr_of_a_proxy_has_no_password() -> None:
    assert "secret" not in repr(proxies.parse("http://user:secret@host"))
    assert "secret" not in repr(ProxyRules(http="http://user:secret@host", https="http://u:secret@host"))


@pytest.mark.parametrize(
    ("rule", "host", "bypassed"),
    [
        ("*", "example.com", True),
        ("", "example.com", False),
        ("example.com", "example.com", True),
        ("example.com", "EXAMPLE.com.", True),
        ("example.com", "api.example.com", True),
        ("example.com", "badexample.com", False),
        (".example.com", "api.example.com", True),
        (".example.com", "example.com", False),
        ("*.example.com", "api.example.com", True),
        ("example.com:443", "example.com", True),
        ("example.com:80", "example.com", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "ten.example", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("example.com", "10.1.2.3", False),
        ("::1", "::1", True),
        ("[::1]:443", "::1", True),
        ("fd00::/8", "fd12::1", True),
    ],
)
def test_a_bypass_list_means_what_it_means_elsewhere(rule: str, host: str, bypassed: bool) -> None:
    assert proxies.bypasses(host, 443, (" " + rule,)) is bypassed


def test_rules_choose_by_scheme() -> None:
    rules = ProxyRules(http="http://a", https="http://b", bypass=("local.test",))
    assert rules.choose("http", "x.test", 80) == "http://a"
    assert rules.choose("https", "x.test", 443) == "http://b"
    assert rules.choose("https", "local.test", 443) == ""
    assert ProxyRules(http="http://a").choose("https", "x.test", 443) == ""
