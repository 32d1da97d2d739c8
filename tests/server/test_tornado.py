"""``tornado.web.Application`` on this server behaves as on Tornado's own."""

import asyncio
import gzip
from pathlib import Path

import pytest
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler, stream_request_body

from tests.server.conftest import Connect, Serve
from tests.server.raw import Raw, Response, until


class Main(RequestHandler):
    def get(self) -> None:
        self.set_cookie("a", "1")
        self.set_cookie("b", "2")
        self.set_header("X-Remote", self.request.remote_ip or "")
        self.write(f"hello {self.get_query_argument('name', 'world')} at {self.request.full_url()}")

    def head(self) -> None:
        self.get()

    def post(self) -> None:
        self.write({"got": self.get_body_argument("x"), "cookie": self.get_cookie("c")})


class Upload(RequestHandler):
    def post(self) -> None:
        file = self.request.files["f"][0]
        self.write(f"{file['filename']}:{len(file['body'])}")


class Streaming(RequestHandler):
    async def get(self) -> None:
        for n in range(5):
            self.write(f"{n}" * 1000)
            await self.flush()
            await asyncio.sleep(0)
        self.finish("end")


class Endless(RequestHandler):
    failure: BaseException | None = None
    gone = False

    async def get(self) -> None:
        try:
            while True:
                self.write(b"x" * 65536)
                await self.flush()
        except StreamClosedError as exc:
            type(self).failure = exc
            raise

    def on_connection_close(self) -> None:
        type(self).gone = True


class Failing(RequestHandler):
    def get(self) -> None:
        raise HTTPError(418)

    def post(self) -> None:
        raise RuntimeError("a bug")


class Moved(RequestHandler):
    def get(self) -> None:
        self.redirect("/elsewhere")


class Nothing(RequestHandler):
    def get(self) -> None:
        self.set_status(204)


class Waiting(RequestHandler):
    closed = 0

    async def get(self) -> None:
        self.gone = asyncio.Event()
        await self.gone.wait()

    def on_connection_close(self) -> None:
        type(self).closed += 1
        self.gone.set()


@stream_request_body
class Receiving(RequestHandler):
    closed = 0

    async def prepare(self) -> None:
        self.request.connection.set_max_body_size(1_000_000)  # type: ignore[union-attr]
        self.size = 0
        await asyncio.sleep(0)

    async def data_received(self, chunk: bytes) -> None:
        await asyncio.sleep(0)
        self.size += len(chunk)

    def post(self) -> None:
        self.write(str(self.size))

    def on_connection_close(self) -> None:
        super().on_connection_close()
        type(self).closed += 1


@pytest.fixture
async def client(serve: Serve, connect: Connect, tmp_path: Path) -> Raw:
    (tmp_path / "a.txt").write_bytes(b"0123456789" * 20_000)
    app = Application(
        [
            ("/", Main),
            ("/upload", Upload),
            ("/streaming", Streaming),
            ("/endless", Endless),
            ("/failing", Failing),
            ("/moved", Moved),
            ("/nothing", Nothing),
            ("/waiting", Waiting),
            ("/receiving", Receiving),
            ("/static/(.*)", StaticFileHandler, {"path": str(tmp_path)}),
        ],
        compress_response=True,
    )
    return await connect(await serve(app, body_bytes=500_000))


async def ask(
    client: Raw, first_line: str, headers: tuple[str, ...] = (), body: bytes | None = None
) -> Response:
    """Send a request and read its response, on the same connection as all others."""
    lines = [f"{first_line} HTTP/1.1", "Host: example.com", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    await client.send("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + (body or b""))
    return await client.response(head=first_line.startswith("HEAD"))


async def test_a_handler_answers_with_cookies_arguments_and_the_peers_address(client: Raw) -> None:
    for _ in range(2):
        response = await ask(client, "GET /?name=x%20y")
        assert response.body == b"hello x y at http://example.com/?name=x%20y"
        assert response.headers.get_list("Set-Cookie") == ["a=1; Path=/", "b=2; Path=/"]
        assert response.headers["X-Remote"] == "127.0.0.1"
        assert len(response.headers.get_list("Date")) == 1


async def test_forms_and_cookies_arrive(client: Raw) -> None:
    response = await ask(
        client,
        "POST /",
        ("Content-Type: application/x-www-form-urlencoded", "Cookie: c=3"),
        b"x=%C3%A4",
    )
    assert response.json() == {"got": "ä", "cookie": "3"}


async def test_multipart_uploads_arrive(client: Raw) -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\n\r\n'
        + b"x" * 300_000
        + b"\r\n--B--\r\n"
    )
    response = await ask(client, "POST /upload", ("Content-Type: multipart/form-data; boundary=B",), body)
    assert response.body == b"a.bin:300000"


async def test_head_has_the_headers_of_get(client: Raw) -> None:
    got, head = await ask(client, "GET /"), await ask(client, "HEAD /")
    assert head.headers["Content-Length"] == got.headers["Content-Length"]
    assert (await ask(client, "GET /")).status == 200


async def test_an_unchanged_answer_is_304(client: Raw) -> None:
    etag = (await ask(client, "GET /")).headers["Etag"]
    response = await ask(client, "GET /", (f"If-None-Match: {etag}",))
    assert (response.status, response.headers["Etag"]) == (304, etag)
    assert (await ask(client, "GET /")).status == 200


async def test_answers_are_compressed_for_those_who_ask(client: Raw) -> None:
    response = await ask(client, "GET /streaming", ("Accept-Encoding: gzip",))
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.body).endswith(b"4end")


async def test_flushed_pieces_are_streamed(client: Raw) -> None:
    for _ in range(2):
        response = await ask(client, "GET /streaming")
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert response.body == b"".join(b"%d" % n * 1000 for n in range(5)) + b"end"


async def test_http_1_0_gets_a_stream_until_the_end_of_the_connection(client: Raw) -> None:
    await client.send(b"GET /streaming HTTP/1.0\r\n\r\n")
    received = await client.until_end()
    assert b"chunked" not in received
    assert received.endswith(b"4end")


async def test_static_files_ranges_and_conditions(client: Raw) -> None:
    response = await ask(client, "GET /static/a.txt")
    assert len(response.body) == 200_000
    part = await ask(client, "GET /static/a.txt", ("Range: bytes=5-14",))
    assert (part.status, part.body) == (206, b"5678901234")
    same = await ask(client, "GET /static/a.txt", (f"If-None-Match: {response.headers['Etag']}",))
    assert same.status == 304
    assert (await ask(client, "HEAD /static/a.txt")).headers["Content-Length"] == "200000"


@pytest.mark.expected_log("404", "405", "418", "500", "Uncaught exception", "Missing argument x", "400")
async def test_errors_keep_the_connection(client: Raw) -> None:
    for request, status in (
        ("GET /failing", 418),
        ("POST /failing", 500),
        ("GET /absent", 404),
        ("DELETE /", 405),
        ("POST /", 400),
    ):
        assert (await ask(client, request, (), b"")).status == status


async def test_redirects_and_empty_answers(client: Raw) -> None:
    response = await ask(client, "GET /moved")
    assert (response.status, response.headers["Location"]) == (302, "/elsewhere")
    assert (await ask(client, "GET /nothing")).status == 204
    assert (await ask(client, "GET /")).status == 200


async def test_a_streamed_request_body_is_received_at_the_handlers_pace(client: Raw) -> None:
    for _ in range(2):
        response = await ask(client, "POST /receiving", (), b"x" * 900_000)  # above the server's own limit
        assert response.body == b"900000"


@pytest.mark.parametrize("path", ["waiting", "receiving"])
async def test_a_handler_learns_that_its_client_is_gone(client: Raw, path: str) -> None:
    Waiting.closed = Receiving.closed = 0
    if path == "waiting":
        await client.send(b"GET /waiting HTTP/1.1\r\nHost: a\r\n\r\n")
    else:
        await client.send(b"POST /receiving HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
    await asyncio.sleep(0.02)
    client.reset()
    await until(lambda: Waiting.closed + Receiving.closed)
    assert Waiting.closed + Receiving.closed == 1


@pytest.mark.expected_log("Stream is closed", "after headers")
async def test_an_endless_answer_ends_with_its_client(client: Raw) -> None:
    Endless.failure, Endless.gone = None, False
    await client.send(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
    await client.more()
    client.reset()
    await until(lambda: Endless.failure is not None and Endless.gone)


async def test_an_invalid_query_is_the_clients_fault(client: Raw) -> None:
    response = await ask(client, "GET /?" + "&".join(f"a{n}=1" for n in range(1500)))
    assert (response.status, response.json()["error"]["code"]) == (400, "bad_request")
