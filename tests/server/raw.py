"""A client that sends exactly the bytes it is told to, and an application whose exchanges a test drives."""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
)

from oneapi.server import Connection

JSON = (("Content-Type", "application/json"),)


async def until(condition: Callable[[], Any]) -> None:
    """Give way to the loop until ``condition`` holds; the test's own time limit ends a vain wait."""
    while not condition():  # noqa: ASYNC110  whatever a test can observe
        await asyncio.sleep(0.001)


@dataclass
class Response:
    status: int
    headers: HTTPHeaders
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


class Raw:
    """One connection to the server under test."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.loop = asyncio.get_running_loop()
        self.received = b""

    @classmethod
    async def connect(cls, port: int, *, receive_buffer: int = 0) -> "Raw":
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return cls(sock)

    async def send(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.sock, data)

    def shut(self) -> None:
        """Send no more, but go on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Vanish without a farewell."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    async def more(self) -> bytes:
        """What comes next; empty at the end of the connection."""
        data = await self.loop.sock_recv(self.sock, 65536)
        self.received += data
        return data

    async def until_end(self) -> bytes:
        """Everything up to the end of the connection."""
        while await self.more():
            pass
        return self.received

    async def line(self) -> bytes:
        return (await self._until(b"\r\n"))[:-2]

    async def exactly(self, size: int) -> bytes:
        while len(self.received) < size:
            assert await self.more(), f"the connection ended after {self.received!r}"
        data, self.received = self.received[:size], self.received[size:]
        return data

    async def head(self) -> Response:
        """Status and headers of the next response."""
        text = (await self._until(b"\r\n\r\n")).decode("latin-1")
        first, _, rest = text.partition("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        return Response(int(status), HTTPHeaders.parse(rest), b"")

    async def response(self, *, head: bool = False) -> Response:
        """The next response; ``head``: it answers a HEAD request and has no body."""
        response = await self.head()
        if head or response.status in (100, 204, 304):
            return response
        if response.headers.get("Transfer-Encoding") == "chunked":
            while chunk := await self.chunk():
                response.body += chunk
        elif "Content-Length" in response.headers:
            response.body = await self.exactly(int(response.headers["Content-Length"]))
        else:
            response.body, self.received = await self.until_end(), b""
        return response

    async def chunk(self) -> bytes:
        """The next chunk of a chunked body; empty when it was the last."""
        data = await self.exactly(int(await self.line(), 16))
        assert await self.exactly(2) == b"\r\n"
        return data

    async def ended(self) -> bool:
        """Wait for the end of the connection; whether nothing came before it."""
        try:
            return not self.received and not await self.more()
        except ConnectionResetError:
            return True

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self.received:
            assert await self.more(), f"the connection ended after {self.received!r}"
        return await self.exactly(self.received.index(mark) + len(mark))


@dataclass(eq=False)
class Exchange(HTTPMessageDelegate):
    """One request as the application saw it. The test answers it through ``connection``."""

    connection: Connection
    answer: Callable[["Exchange"], None] | None
    start_line: RequestStartLine = field(default_factory=lambda: RequestStartLine("", "", ""))
    headers: HTTPHeaders = field(default_factory=HTTPHeaders)
    body: bytes = b""
    complete: bool = False
    told: list[str] = field(default_factory=list)  # how it learned that the client is gone

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:
        self.start_line, self.headers = start_line, headers
        self.connection.set_close_callback(lambda: self.told.append("close callback"))

    def data_received(self, chunk: bytes) -> None:
        self.body += chunk

    def finish(self) -> None:
        self.complete = True
        if self.answer is not None:
            self.answer(self)

    def on_connection_close(self) -> None:
        self.told.append("on_connection_close")


def echo(exchange: Exchange) -> None:
    """Answer with what was received."""
    method, path, _ = exchange.start_line
    seen = {"method": method, "path": path, "body": exchange.body.decode("latin-1")}
    exchange.connection.respond(200, JSON, orjson.dumps(seen))


class Application(HTTPServerConnectionDelegate):
    """Keeps its exchanges; ``answer`` is called for each complete request."""

    def __init__(self, answer: Callable[[Exchange], None] | None = echo) -> None:
        self.answer = answer
        self.exchanges: list[Exchange] = []

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        assert isinstance(request_conn, Connection)
        exchange = Exchange(request_conn, self.answer)
        self.exchanges.append(exchange)
        return exchange

    async def exchange(self, index: int = 0) -> Exchange:
        """The exchange of that number, once its request is complete."""
        await until(lambda: len(self.exchanges) > index and self.exchanges[index].complete)
        return self.exchanges[index]
