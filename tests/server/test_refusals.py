"""What the server refuses by itself: malformed, ambiguous, too large, too slow."""

import asyncio
import contextlib

import pytest

from tests.server.conftest import Connect, Serve
from tests.server.raw import Application

H = b"Host: a\r\n"
OK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

MALFORMED = {
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two equal lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    "signed length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    "negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello",
    "empty length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
    "length beyond numbers": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "length and chunked": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
    "chunked in 1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    "header folded by tab": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n\r\n",
    "space before first header": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "line feeds alone": b"GET / HTTP/1.1\nHost: a\n\n",
    "line feed after a header": b"GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n",
    "line feed at the end": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "line feed before": b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "carriage return alone": b"GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n",
    "carriage return before": b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "NUL in a name": b"GET / HTTP/1.1\r\nHost: a\r\nX\0: ab\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "control character": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "name with other characters": b"GET / HTTP/1.1\r\nHost: a\r\nX(1): a\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with a user": b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "list of hosts": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\nHost: a\r\n\r\n",
    "version in lower case": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "method in lower case": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    "relative target": b"GET a/b HTTP/1.1\r\nHost: a\r\n\r\n",
    "star": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "other scheme": b"GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
    "target with a high byte": b"GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "chunk size without digits": CHUNKED + b"x\r\n",
    "signed chunk size": CHUNKED + b"+5\r\nhello\r\n",
    "chunk size with a line feed": CHUNKED + b"5\nhello",
    "chunk longer than said": CHUNKED + b"5\r\nhello!\r\n",
    "endless chunk extension": CHUNKED + b"5;" + b"x" * 5000,
    "chunk extension with a line feed": CHUNKED + b"5;a\nb\r\nhello\r\n",
    "malformed trailer": CHUNKED + b"0\r\nX : a\r\n\r\n",
    "folded trailer": CHUNKED + b"0\r\nX: a\r\n b\r\n\r\n",
}


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_or_ambiguous_request_gets_400_and_the_connection_closes(
    serve: Serve, connect: Connect, request_bytes: bytes, cut: bool
) -> None:
    app = Application()
    client = await connect(await serve(app))
    pieces = [bytes((byte,)) for byte in request_bytes] if cut else [request_bytes + OK]
    with contextlib.suppress(ConnectionError):  # refused before its end
        for piece in pieces:
            await client.send(piece)
            await asyncio.sleep(0)
    response = await client.response()
    assert (response.status, response.headers["Connection"]) == (400, "close")
    error = response.json()["error"]
    assert error.pop("message")
    assert error == {"type": "invalid_request_error", "param": "", "code": "bad_request"}
    assert await client.ended()
    assert not any(exchange.complete for exchange in app.exchanges)


async def test_requests_before_a_malformed_one_are_answered(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application()))
    await client.send(OK + OK + MALFORMED["two lengths"])
    assert [(await client.response()).status for _ in range(3)] == [200, 200, 400]
    assert await client.ended()


TOO_LARGE = {
    "header": (431, "headers_too_large", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"),
    "header without an end": (431, "headers_too_large", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 66_000),
    "101 headers": (431, "too_many_headers", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 100 + b"\r\n"),
    "target": (414, "uri_too_long", b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "target without an end": (414, "uri_too_long", b"GET /" + b"x" * 66_000),
    "body": (413, "request_too_large", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"),
    "chunked body": (
        413,
        "request_too_large",
        CHUNKED + (b"10\r\n0123456789abcdef\r\n" * 70),
    ),
    "chunk": (
        413,
        "request_too_large",
        CHUNKED + b"3e9\r\n",
    ),
    "trailers": (
        431,
        "trailers_too_large",
        CHUNKED + b"0\r\n" + b"X: 0123456789\r\n" * 9000,
    ),
    "HTTP/2": (505, "http_version_not_supported", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "CONNECT": (405, "method_not_allowed", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
}


@pytest.mark.parametrize(("status", "code", "request_bytes"), TOO_LARGE.values(), ids=TOO_LARGE.keys())
async def test_a_request_beyond_the_limits_is_refused_by_name(
    serve: Serve, connect: Connect, status: int, code: str, request_bytes: bytes
) -> None:
    client = await connect(await serve(Application(), body_bytes=1000))
    await client.send(request_bytes)
    response = await client.response()
    assert (response.status, response.json()["error"]["code"]) == (status, code)
    assert await client.ended()


async def test_as_much_as_the_limits_allow_is_served(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application(), body_bytes=1000))
    headers = H + b"X: 1\r\n" * 98 + b"Content-Length: 1000\r\n\r\n"
    await client.send(b"POST /" + b"x" * 16_000 + b" HTTP/1.1\r\n" + headers + b"x" * 1000)
    assert (await client.response()).status == 200


async def test_an_oversized_body_tells_the_delegate_that_it_will_not_come(
    serve: Serve, connect: Connect
) -> None:
    app = Application()
    client = await connect(await serve(app, body_bytes=10))
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
    assert (await client.response()).status == 413
    assert app.exchanges[0].told == ["on_connection_close"]


async def test_a_slow_head_gets_408(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application(), header_s=0.2))
    await client.send(b"GET / HT")
    assert (await client.response()).status == 408
    assert await client.ended()


async def test_a_connection_without_a_request_is_closed_in_silence(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application(), header_s=0.05))
    assert await client.ended()


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
async def test_a_body_that_stops_gets_408(serve: Serve, connect: Connect, framing: bytes) -> None:
    app = Application()
    client = await connect(await serve(app, body_s=0.05))
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n5\r\n")
    assert (await client.response()).status == 408
    assert await client.ended()
    assert app.exchanges[0].told == ["on_connection_close"]


async def test_an_idle_connection_is_closed_in_silence(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(Application(), keep_alive_s=0.05))
    await client.send(OK)
    assert (await client.response()).status == 200
    assert await client.ended()


async def test_a_slow_answer_is_no_idle_connection(serve: Serve, connect: Connect) -> None:
    app = Application(answer=None)
    client = await connect(await serve(app, keep_alive_s=0.02, header_s=0.2, body_s=0.02))
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
    exchange = await app.exchange()
    other = await connect(await serve(Application(), header_s=0.3))
    assert await other.ended()  # all limits have passed
    exchange.connection.respond(200, ())
    assert (await client.response()).status == 200


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_malformed_stays_so_when_its_other_lines_are_known(
    serve: Serve, connect: Connect, request_bytes: bytes
) -> None:
    client = await connect(await serve(Application()))
    keep = b"Host: a\r\nConnection: keep-alive\r\n"
    await client.send(b"GET / HTTP/1.0\r\n" + keep + b"X: 1\r\n\r\n")
    await client.send(b"POST / HTTP/1.0\r\n" + keep + b"Content-Length: 5\r\n\r\nhello")
    await client.send(CHUNKED + b"0\r\n\r\n" + OK)
    assert [(await client.response()).status for _ in range(4)] == [200] * 4
    await client.send(request_bytes + OK)
    assert (await client.response()).status == 400
    assert await client.ended()
