"""A scripted server on loopback: a test says byte by byte what the other side of a connection does."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from oneapi.wire import UpstreamRequest

Result = TypeVar("Result")


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass(eq=False)
class Peer:
    """The server's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    seen: list[Seen]  # of all connections

    async def request(self) -> Seen:
        """The next request, whole. Raises IncompleteReadError when the client closes."""
        seen = await self.request_head()
        return Seen(
            seen.line, seen.headers, await self.reader.readexactly(int(seen.header("content-length") or 0))
        )

    async def request_head(self) -> Seen:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head[:-4].split("\r\n")
        headers = tuple((name, value) for name, _, value in (each.partition(": ") for each in fields))
        return Seen(line, headers, b"")

    async def send(self, data: bytes) -> None:
        if self.writer.transport.is_closing():  # uvloop would raise a RuntimeError
            raise ConnectionResetError
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the client has closed its side."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Close with RST in place of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """Runs ``script`` for every connection. A script that returns leaves its connection to the client."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.peers: list[Peer] = []
        self.seen: list[Seen] = []
        self._script = script
        self._tls = tls
        self._open: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}/v1/chat"

    def request(
        self, method: str = "POST", body: bytes = b"{}", headers: tuple[tuple[str, str], ...] = ()
    ) -> UpstreamRequest:
        return UpstreamRequest(method, self.url, headers, body)

    async def no_connections(self) -> None:
        """Wait until every client has closed its sockets."""
        await self.until(lambda: not self._open)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that changes with a connection that opens or closes."""
        async with self._changed:
            await self._changed.wait_for(condition)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer, len(self.peers), self.seen)
        self.peers.append(peer)
        self._open.add(start(self._serve(peer)))

    async def _serve(self, peer: Peer) -> None:
        try:
            await self._notify()
            await self._script(peer)
            await peer.gone()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            peer.writer.transport.abort()
            task = asyncio.current_task()
            assert task is not None
            self._open.discard(task)
            await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def start(coro: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    """Run ``coro`` beside the test, which awaits or cancels it."""
    return asyncio.get_running_loop().create_task(coro)


def answers(*replies: bytes) -> Script:
    """Answer the requests of a connection with ``replies`` in turn, the last one again and again."""

    async def script(peer: Peer) -> None:
        turn = 0
        while True:
            peer.seen.append(await peer.request())
            await peer.send(replies[min(turn, len(replies) - 1)])
            turn += 1

    return script


def reply(body: bytes = b"ok", *, status: str = "200 OK", headers: str = "") -> bytes:
    """A whole answer with Content-Length; ``headers`` are lines that end in CRLF."""
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


def chunked(*pieces: bytes, headers: str = "", trailer: str = "") -> bytes:
    """A whole answer in chunks."""
    head = f"HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n".encode("latin-1")
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + body + f"0\r\n{trailer}\r\n".encode("latin-1")


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until ``condition`` holds."""
    while not condition():  # noqa: ASYNC110  what is waited for has no event
        await asyncio.sleep(0.001)
