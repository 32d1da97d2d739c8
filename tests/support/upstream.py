"""A stand-in vendor on loopback: an HTTP/1.1 server in a thread that does exactly what a test tells it.

    with Upstream() as upstream:
        channel = admin.add_channel(base_url=upstream.at(Vendor(usage=(13, 7))), models="m")

``at`` gives each behaviour a base URL of its own. A behaviour is an async function of the ``Exchange`` it
answers; ``vendor.py`` holds the well-behaved one, ``faults.py`` the others. ``upstream.seen`` is the journal.
"""

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httptools
import orjson


@dataclass(eq=False)
class Seen:
    """A request as it arrived. ``cut_at``: when its connection was lost before the answer was complete."""

    place: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    cut_at: float | None = None  # monotonic seconds

    @property
    def json(self) -> Any:
        """The decoded body."""
        return orjson.loads(self.body)

    @property
    def model(self) -> str:
        """The model that the JSON or form body names."""
        if self.headers.get("content-type", "").startswith("multipart/"):
            marker = b'name="model"\r\n\r\n'
            start = self.body.index(marker) + len(marker)
            return self.body[start : self.body.index(b"\r\n", start)].decode()
        return str(self.json["model"])


class Gate:
    """Steps that a test allows one by one, from its own thread. Behaviours ``await gate.passed()``."""

    def __init__(self, upstream: "Upstream") -> None:
        self._loop = upstream.loop
        self._steps = asyncio.Semaphore(0)

    def allow(self, steps: int = 1) -> None:
        """Let ``steps`` more waits pass."""
        for _ in range(steps):
            self._loop.call_soon_threadsafe(self._steps.release)

    async def passed(self) -> None:
        """Wait for the next allowed step."""
        await self._steps.acquire()


class Exchange:
    """One request and the means to answer it, well or badly."""

    def __init__(self, seen: Seen, transport: asyncio.Transport) -> None:
        self.seen = seen
        self.transport = transport
        self.complete = False

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.transport.write(data)

    def head(self, status: int, *headers: tuple[str, str]) -> None:
        """Send a status line and headers."""
        lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers)]
        self.raw("\r\n".join([*lines, "", ""]).encode())

    def reply(self, status: int, body: object, content_type: str = "application/json") -> None:
        """Send a whole answer; anything but bytes becomes JSON."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        self.head(status, ("Content-Type", content_type), ("Content-Length", str(len(data))))
        self.raw(data)
        self.complete = True

    def begin(self, content_type: str = "text/event-stream") -> None:
        """Send the head of a chunked answer."""
        self.head(200, ("Content-Type", content_type), ("Transfer-Encoding", "chunked"))

    def chunk(self, data: bytes) -> None:
        """Send one HTTP chunk."""
        self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, data: object) -> None:
        """Send one server-sent event in a chunk of its own."""
        self.chunk(b"data: " + (data if isinstance(data, bytes) else orjson.dumps(data)) + b"\n\n")

    def end(self) -> None:
        """Send the last chunk."""
        self.raw(b"0\r\n\r\n")
        self.complete = True

    def close(self) -> None:
        """Close the connection in the orderly way."""
        self.complete = True
        self.transport.close()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self.complete = True
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


Behaviour: TypeAlias = Callable[[Exchange], Awaitable[None]]


async def _nothing_here(exchange: Exchange) -> None:
    exchange.reply(404, {"error": {"message": "nothing is placed here", "type": "test", "code": None}})


class Upstream:
    """The server. Usable from the test's thread; behaviours run in the server's own."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.loop = asyncio.new_event_loop()
        self.seen: list[Seen] = []
        self.url = ""
        self._tls = tls
        self._places: dict[str, Behaviour] = {}
        self._elsewhere: Behaviour = _nothing_here
        self._changed = threading.Condition()
        self._open: set[_Connection] = set()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> "Upstream":
        self._thread.start()
        server = self._do(self._listen())
        port = server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{port}"
        self._server = server
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    def at(self, behaviour: Behaviour) -> str:
        """A base URL that answers with ``behaviour``."""
        place = str(len(self._places) + 1)
        self._places[place] = behaviour
        return f"{self.url}/{place}"

    def requests(self, base_url: str) -> list[Seen]:
        """What arrived at ``base_url`` so far, in order."""
        place = base_url.rsplit("/", 1)[1]
        return [seen for seen in self.seen if seen.place == place]

    def wait_for(self, condition: Callable[[], object], timeout_s: float = 5) -> None:
        """Return when ``condition`` holds; it is looked at whenever the journal changes."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout_s), "the upstream did not see it in time"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(5)

    async def _listen(self) -> asyncio.Server:
        return await self.loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, ssl=self._tls)

    async def _stop(self) -> None:
        self._server.close()
        for connection in list(self._open):
            connection.drop()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def note(self, change: Callable[[], None]) -> None:
        """Change the journal and wake those who wait for it."""
        with self._changed:
            change()
            self._changed.notify_all()

    def serve_everywhere(self, behaviour: Behaviour) -> None:
        """Answer like this wherever no other behaviour was placed."""
        self._elsewhere = behaviour

    def behaviour(self, place: str) -> Behaviour:
        """What is to happen at ``place``."""
        return self._places.get(place, self._elsewhere)


@dataclass(eq=False)
class _Connection(asyncio.Protocol):
    """One accepted connection; requests on it are answered one after the other."""

    upstream: Upstream
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    url: bytes = b""
    exchange: Exchange | None = None
    task: "asyncio.Task[None] | None" = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.upstream.note(lambda: self.upstream._open.add(self))

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()  # a TLS hello, for example

    def on_message_begin(self) -> None:
        self.headers, self.body, self.url = {}, bytearray(), b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()
        if name.lower() == b"expect":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        path, _, query = self.url.decode().partition("?")
        place, _, rest = path.lstrip("/").partition("/")
        method = self.parser.get_method().decode()
        seen = Seen(place, method, "/" + rest, query, dict(self.headers), bytes(self.body))
        self.upstream.note(lambda: self.upstream.seen.append(seen))
        exchange = Exchange(seen, self.transport)
        self.exchange = exchange
        self.task = self.upstream.loop.create_task(self._answer(exchange))

    async def _answer(self, exchange: Exchange) -> None:
        await self.upstream.behaviour(exchange.seen.place)(exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        now = time.monotonic()
        exchange = self.exchange

        def change() -> None:
            self.upstream._open.discard(self)
            if exchange is not None and not exchange.complete:
                exchange.seen.cut_at = now

        self.upstream.note(change)
        if self.task is not None:
            self.task.cancel()

    def drop(self) -> None:
        """Close without waiting for anything."""
        self.transport.abort()
