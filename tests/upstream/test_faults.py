"""Upstreams that fail and callers that leave, at every stage: what is raised, and that nothing is left."""

import asyncio
import socket
import ssl
from collections.abc import Callable

import pytest
import trustme

from oneapi.errors import Failure, UpstreamError
from oneapi.upstream import Client, Timeouts, failures
from oneapi.wire import UpstreamRequest
from tests.upstream.conftest import Serve, server_context
from tests.upstream.peer import Peer, Script, answers, chunked, reply, start, until

LIMIT = 1 << 20
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


PATIENT = Timeouts()


async def exchange(client: Client, request: UpstreamRequest, timeouts: Timeouts) -> bytes:
    response = await client.send(request, timeouts=timeouts)
    return await response.read(LIMIT)


async def failure(client: Client, request: UpstreamRequest, timeouts: Timeouts = PATIENT) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await exchange(client, request, timeouts)
    error = caught.value
    assert error.code == "do_request_failed"
    assert error.type == "one_api_error"
    assert error.status == (504 if error.failure is Failure.TIMEOUT else 500)
    for secret in ("localhost", "127.0.0.1", "sk-secret", "http://", "https://", "Errno"):
        assert secret not in error.message
    return error


def after(data: bytes, end: Callable[[Peer], None]) -> Script:
    """Read the request, send ``data``, then ``end`` the connection."""

    async def script(peer: Peer) -> None:
        await peer.request()
        if data:
            await peer.send(data)
        end(peer)

    return script


@pytest.mark.parametrize("end", [Peer.close, Peer.reset], ids=["close", "reset"])
@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Le", HEAD, HEAD + b"half", chunked(b"a" * 9)[:-7]],
    ids=["nothing", "in the status line", "in the head", "before the body", "in the body", "in a chunk"],
)
async def test_an_answer_that_breaks_off_is_a_network_failure(
    client: Client, serve: Serve, data: bytes, end: Callable[[Peer], None]
) -> None:
    server = await serve(after(data, end))
    error = await failure(client, server.request())
    assert error.failure is Failure.NETWORK
    await server.no_connections()
    await until(lambda: client.open_connections == 0)


async def test_a_body_without_length_that_is_reset_is_not_whole(client: Client, serve: Serve) -> None:
    sent = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nsome")
        await sent.wait()
        peer.reset()

    server = await serve(script)
    response = await client.send(server.request())
    assert await response.piece() == b"some"
    sent.set()
    with pytest.raises(UpstreamError, match="broke"):
        await response.piece()


async def test_what_arrived_before_a_break_can_be_read(client: Client, serve: Serve) -> None:
    server = await serve(after(HEAD + b"half", Peer.close))
    response = await client.send(server.request())
    await until(lambda: client.open_connections == 0)
    assert await response.piece() == b"half"
    with pytest.raises(UpstreamError, match="before its answer was complete"):
        await response.piece()
    response.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff\xfe this is not HTTP \x80\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Header: abcdefgh\r\n" * 8000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 201 + b"\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 200_000,
    ],
    ids=[
        "bytes",
        "ssh",
        "status",
        "negative length",
        "two lengths",
        "chunk size",
        "upgrade",
        "huge header",
        "huge head",
        "too many headers",
        "endless hints",
        "endless trailer",
    ],
)
async def test_garbage_is_a_protocol_failure(client: Client, serve: Serve, data: bytes) -> None:
    server = await serve(after(data, lambda _: None))
    error = await failure(client, server.request())
    assert error.failure is Failure.PROTOCOL
    await server.no_connections()


async def test_a_body_above_the_limit_is_not_read_to_its_end(client: Client, serve: Serve) -> None:
    server = await serve(answers(reply(b"x" * 1000)))
    response = await client.send(server.request())
    with pytest.raises(UpstreamError, match="larger than the limit"):
        await response.read(999)
    response = await client.send(server.request())
    assert await response.read(1000) == b"x" * 1000


async def test_nobody_listens(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    request = UpstreamRequest("GET", f"http://localhost:{port}/?key=sk-secret", ())
    error = await failure(client, request)
    assert error.message == "the upstream could not be reached: connection refused"
    assert error.failure is Failure.NETWORK


async def test_a_name_that_does_not_exist(client: Client) -> None:
    error = await failure(client, UpstreamRequest("GET", "http://no-such-host.invalid/?key=sk-secret", ()))
    assert error.message == "the upstream could not be reached: its name was not found"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://localhost/",
        "localhost:80",
        "http:///path",
        "http://localhost:99999/",
        "http://localhost:port/",
        "http://[::1/",
        "http://a b/",
        f"http://{'a' * 70}.com/",
        "http://a$b/",
        "",
    ],
)
async def test_an_address_that_is_none(client: Client, url: str) -> None:
    error = await failure(client, UpstreamRequest("GET", url, ()))
    assert "not a valid http or https URL" in error.message


async def test_a_peer_that_closes_at_once(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        peer.reset()

    server = await serve(script)
    error = await failure(client, server.request())
    assert error.failure is Failure.NETWORK


# -- TLS -----------------------------------------------------------------------------------------------------


async def test_a_certificate_of_an_unknown_authority_is_refused(client: Client, serve: Serve) -> None:
    server = await serve(answers(reply()), server_context(trustme.CA(), "localhost"))
    error = await failure(client, server.request())
    assert error.failure is Failure.NETWORK
    assert "certificate is not trusted" in error.message
    assert server.seen == []
    await server.no_connections()


async def test_a_certificate_for_another_host_is_refused(
    client: Client, serve: Serve, authority: trustme.CA
) -> None:
    server = await serve(answers(reply()), server_context(authority, "other.example"))
    error = await failure(client, server.request())
    assert "not for this host" in error.message
    assert server.seen == []
    await server.no_connections()


async def test_the_default_trust_does_not_include_everybody(serve: Serve, server_tls: ssl.SSLContext) -> None:
    server = await serve(answers(reply()), server_tls)
    client = Client()
    error = await failure(client, server.request())
    assert "certificate is not trusted" in error.message
    await client.close()


async def test_tls_to_a_plain_server_is_a_network_failure(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(100)
        await peer.send(reply())

    server = await serve(script)
    request = UpstreamRequest("GET", server.url.replace("http:", "https:"), ())
    assert (await failure(client, request)).message == "the upstream could not be reached: TLS failed"
    await server.no_connections()


async def test_a_tls_handshake_that_breaks_off(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(100)
        peer.reset()

    server = await serve(script)
    request = UpstreamRequest("GET", server.url.replace("http:", "https:"), ())
    assert (await failure(client, request)).failure is Failure.NETWORK
    await server.no_connections()


# -- time ----------------------------------------------------------------------------------------------------


async def test_a_handshake_without_end_is_given_up(client: Client, serve: Serve) -> None:
    server = await serve(after_nothing)
    request = UpstreamRequest("GET", server.url.replace("http:", "https:"), ())
    error = await failure(client, request, Timeouts(connect_s=0.05))
    assert error.message == "the upstream could not be reached in time"
    await server.no_connections()


async def after_nothing(peer: Peer) -> None:
    """Listens and says nothing."""


@pytest.mark.parametrize(
    ("data", "timeouts", "text"),
    [
        (b"", Timeouts(first_byte_s=0.03), "did not answer in time"),
        (b"HTTP/1.1 200 OK\r\nX: ", Timeouts(first_byte_s=0.03), "did not answer in time"),
        (HEAD + b"half", Timeouts(idle_s=0.03), "stopped answering in time"),
        (b"", Timeouts(total_s=0.05), "did not answer in time"),
        (HEAD + b"half", Timeouts(total_s=0.3), "stopped answering in time"),
    ],
    ids=["no head", "half a head", "half a body", "no head in all", "half a body in all"],
)
async def test_silence_ends_the_exchange(
    client: Client, serve: Serve, data: bytes, timeouts: Timeouts, text: str
) -> None:
    server = await serve(after(data, lambda _: None))
    error = await failure(client, server.request(), timeouts)
    assert error.failure is Failure.TIMEOUT
    assert text in error.message
    await server.no_connections()


async def test_the_total_limit_ends_a_stream_that_never_stops(client: Client, serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(b"more")
            await asyncio.sleep(0.001)

    server = await serve(script)
    error = await failure(client, server.request(), Timeouts(total_s=0.05))
    assert error.failure is Failure.TIMEOUT
    await server.no_connections()


async def test_a_slow_reader_is_not_a_silent_upstream(client: Client, serve: Serve) -> None:
    body = b"x" * 1_000_000
    server = await serve(answers(reply(body)))
    response = await client.send(server.request(), timeouts=Timeouts(idle_s=0.3))
    started = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() - started > 0.6)
    assert await response.read(LIMIT) == body


# -- cancel --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(12))
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_cancel_at_any_moment_leaves_no_socket(
    client: Client, serve: Serve, server_tls: ssl.SSLContext, secure: bool, turns: int
) -> None:
    """However far an exchange has come: one more turn of the loop per case."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")

    server = await serve(script, server_tls if secure else None)
    task = start(exchange(client, server.request(), PATIENT))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: client.open_connections == 0)
    await server.no_connections()


@pytest.mark.parametrize("stage", ["head", "read", "piece"])
async def test_a_cancel_closes_the_socket_at_once(client: Client, serve: Serve, stage: str) -> None:
    reached = asyncio.Event()
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        if stage != "head":
            await peer.send(HEAD + b"half")
        reached.set()
        await peer.gone()
        gone.set()

    async def read() -> None:
        response = await client.send(server.request())
        while stage == "piece":
            await response.piece()
        await response.read(LIMIT)

    server = await serve(script)
    task = start(read())
    await reached.wait()
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(1):
        await gone.wait()
    assert client.open_connections == client.idle_connections == 0


# -- the map of errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lower", "text", "kind"),
    [
        (TimeoutError(), "in time", Failure.TIMEOUT),
        (ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 443)"), "refused", Failure.NETWORK),
        (ConnectionResetError(104, "10.0.0.1"), "the connection was closed", Failure.NETWORK),
        (BrokenPipeError(32, "10.0.0.1"), "the connection was closed", Failure.NETWORK),
        (socket.gaierror(-2, "10.0.0.1"), "its name was not found", Failure.NETWORK),
        (ssl.SSLCertVerificationError(1, "10.0.0.1"), "certificate", Failure.NETWORK),
        (ssl.SSLError(1, "10.0.0.1"), "TLS failed", Failure.NETWORK),
        (OSError(101, "10.0.0.1"), "no route", Failure.NETWORK),
        (OSError(113, "10.0.0.1"), "no route", Failure.NETWORK),
        (OSError(24, "10.0.0.1"), "too many open files", Failure.NETWORK),
        (OSError(5, "10.0.0.1"), "network error", Failure.NETWORK),
    ],
)
def test_a_failure_to_connect_is_named_without_its_address(
    lower: Exception, text: str, kind: Failure
) -> None:
    error = failures.not_connected(lower)
    assert text in error.message
    assert error.failure is kind
    assert "10.0.0.1" not in error.message


@pytest.mark.parametrize(
    ("lower", "text", "kind"),
    [
        (None, "closed the connection", Failure.NETWORK),
        (TimeoutError(110, "10.0.0.1"), "stopped answering", Failure.TIMEOUT),
        (ssl.SSLError(1, "10.0.0.1"), "TLS failed", Failure.NETWORK),
        (ConnectionResetError(104, "10.0.0.1"), "broke", Failure.NETWORK),
    ],
)
def test_a_lost_connection_is_named_without_its_address(
    lower: Exception | None, text: str, kind: Failure
) -> None:
    error = failures.broken(lower)
    assert text in error.message
    assert error.failure is kind
    assert "10.0.0.1" not in error.message
