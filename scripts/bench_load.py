"""The load of the benchmark: processes of their own, so that only the program's CPU is in its figures.

    bench_load.py vendor                          an upstream for many streams; commands on standard input
    bench_load.py streams URL KEY COUNT           a client that keeps COUNT streams open
    bench_load.py paced SECONDS RATE URL KEY ...  requests at a fixed rate, in turn to each (URL, KEY)

Everything is bytes made in advance and one write per event: on two cores the load must not be the bottleneck.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast
from urllib.parse import urlsplit

import orjson
import uvloop

MODEL = "bench-model"
PATH = "/v1/chat/completions"
CHUNKS_PER_S = 20
SLOTS = 25  # streams write in turn, not all in the same millisecond
MARK = b'"content":"T'
DIGITS = 19
CONNECT_BATCH = 50
LAST_CHUNK = b"0\r\n\r\n"


def say(**values: object) -> None:
    """One line of JSON to the parent."""
    sys.stdout.write(orjson.dumps(values).decode() + "\n")
    sys.stdout.flush()


def address(url: str) -> tuple[str, int]:
    """Host and port of ``http://host:port``."""
    split = urlsplit(url)
    return str(split.hostname), split.port or 80


def on_command(loop: asyncio.AbstractEventLoop, act: Callable[[str], None]) -> None:
    """Call ``act`` for each line of standard input; the loop stops when it ends."""

    def readable() -> None:
        line = sys.stdin.readline()
        if line:
            act(line.strip())
        else:
            loop.stop()

    loop.add_reader(sys.stdin.fileno(), readable)


def request(key: str, *, stream: bool) -> bytes:
    """A chat request as a client sends it."""
    messages = [{"role": "user", "content": "Say something."}]
    body = orjson.dumps({"model": MODEL, "messages": messages, "stream": stream})
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def event(payload: bytes) -> bytes:
    """A server-sent event as one HTTP chunk."""
    data = b"data: " + payload + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunk_json(**fields: object) -> bytes:
    """A chunk as OpenAI writes it."""
    kind = "chat.completion.chunk"
    return orjson.dumps(
        {"id": "chatcmpl-bench", "object": kind, "created": 1_700_000_000, "model": MODEL, **fields}
    )


class StreamVendor:
    """Streams to everybody who connects. Commands: ``run``, ``hold`` (keep open, silent), ``finish``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.slots: list[dict[asyncio.Transport, None]] = [{} for _ in range(SLOTS)]
        self.running = True
        self.next_slot = 0
        text = "T" + "0" * DIGITS
        whole = event(chunk_json(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}]))
        self.before, _, self.after = whole.partition(b"0" * DIGITS)
        usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
        self.tail = (
            event(chunk_json(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]))
            + event(chunk_json(choices=[], usage=usage))
            + event(b"[DONE]")
            + LAST_CHUNK
        )

    def chunk(self) -> bytes:
        """A chunk that says when it was sent."""
        return b"%s%019d%s" % (self.before, time.monotonic_ns(), self.after)

    def begin(self, transport: asyncio.Transport) -> dict[asyncio.Transport, None]:
        """Send the head and a first chunk; returns the slot that the stream is now in."""
        transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            + self.chunk()
        )
        slot = self.slots[self.next_slot]
        self.next_slot = (self.next_slot + 1) % SLOTS
        slot[transport] = None
        return slot

    def tick(self, number: int, due: float) -> None:
        """Write to the streams of one slot and come back for the next."""
        if self.running:
            data = self.chunk()
            for transport in self.slots[number % SLOTS]:
                transport.write(data)
        due += 1 / (CHUNKS_PER_S * SLOTS)
        self.loop.call_at(due, self.tick, number + 1, due)

    def command(self, line: str) -> None:
        """Obey the parent."""
        self.running = line == "run"
        if line == "finish":
            for slot in self.slots:
                for transport in list(slot):
                    transport.write(self.tail)
                slot.clear()


class VendorConnection(asyncio.Protocol):
    """One request at a time; its body is awaited, then it streams."""

    def __init__(self, vendor: StreamVendor) -> None:
        self.vendor = vendor
        self.received = b""
        self.slot: dict[asyncio.Transport, None] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Start to stream when the whole request is there."""
        self.received += data
        if whole(self.received):
            self.received = b""
            self.slot = self.vendor.begin(self.transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Stop to stream."""
        self.slot.pop(self.transport, None)


def whole(message: bytes) -> bool:
    """Whether a message with Content-Length, or without a body, is complete."""
    end = message.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = message[:end].lower()
    start = head.find(b"content-length:")
    length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
    return len(message) >= end + 4 + length


class StreamClient:
    """Keeps streams open. Commands: ``start`` (count from now), ``stop`` (say what was seen)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self.loop = loop
        self.count = count
        self.delays: list[int] = []
        self.begun = self.failed = self.ended = 0
        self.all_open = False

    def command(self, line: str) -> None:
        """Obey the parent."""
        if line == "start":
            self.delays = []
        elif line == "stop":
            say(chunks=len(self.delays), **percentiles([delay / 1e6 for delay in self.delays]))

    def settled(self) -> None:
        """Tell the parent when all streams have begun, and when all have ended."""
        if self.begun + self.failed == self.count and not self.all_open:
            self.all_open = True
            say(begun=self.begun, failed=self.failed)
        if self.ended + self.failed == self.count:
            say(ended=self.ended)
            self.loop.stop()

    async def connect(self, url: str, key: str) -> None:
        """Open all streams, a batch at a time: a listen queue is short."""
        host, port = address(url)
        data = request(key, stream=True)
        for done in range(0, self.count, CONNECT_BATCH):
            size = min(CONNECT_BATCH, self.count - done)
            coming = (
                self.loop.create_connection(lambda: StreamConnection(self, data), host, port)
                for _ in range(size)
            )
            await asyncio.gather(*coming)
            await asyncio.sleep(0.02)


class StreamConnection(asyncio.Protocol):
    """One stream: notes the age of each chunk."""

    def __init__(self, client: StreamClient, data: bytes) -> None:
        self.client = client
        self.data = data
        self.state = "asked"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask at once."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.data)

    def data_received(self, data: bytes) -> None:
        """Note what came. Chunks that arrive in two pieces are not measured."""
        now = time.monotonic_ns()
        delays = self.client.delays
        start = data.find(MARK)
        while start >= 0:
            digits = data[start + len(MARK) : start + len(MARK) + DIGITS]
            if len(digits) == DIGITS:
                delays.append(now - int(digits))
            start = data.find(MARK, start + len(MARK))
        if self.state == "asked":
            self.begin(data)
        if data.endswith(LAST_CHUNK) and self.state == "begun":
            self.state = "ended"
            self.client.ended += 1
            self.transport.close()
            self.client.settled()

    def begin(self, data: bytes) -> None:
        """The first bytes decide whether it is a stream at all."""
        if data.startswith(b"HTTP/1.1 200"):
            self.state = "begun"
            self.client.begun += 1
            self.client.settled()
        else:
            self.transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        """A stream that ends without an end has failed."""
        if self.state != "ended":
            self.client.failed += 1
            if self.state == "begun":
                self.client.begun -= 1
            self.client.settled()


class Target:
    """One server that the paced client asks, over connections that it keeps."""

    def __init__(self, url: str, key: str) -> None:
        self.host, self.port = address(url)
        self.data = request(key, stream=False)
        self.idle: list[Lane] = []
        self.waits_ms: list[float] = []
        self.asked = self.answered = self.late = 0


class Lane(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.received = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a turn."""
        self.transport = cast(asyncio.Transport, transport)
        self.target.idle.append(self)

    def ask(self) -> None:
        """Send the next request."""
        self.sent_at = time.perf_counter()
        self.transport.write(self.target.data)

    def data_received(self, data: bytes) -> None:
        """Note the time when the answer is complete."""
        self.received += data
        if whole(self.received):
            self.target.waits_ms.append((time.perf_counter() - self.sent_at) * 1000)
            self.target.answered += self.received.startswith(b"HTTP/1.1 200")
            self.received = b""
            self.target.idle.append(self)


async def paced(seconds: float, rate: float, targets: Sequence[Target]) -> None:
    """Ask each target ``rate`` times a second, whether it has answered or not, and say what was seen."""
    loop = asyncio.get_running_loop()
    for target in targets:
        for _ in range(16):
            await loop.create_connection(partial(Lane, target), target.host, target.port)
    done = loop.create_future()
    total = int(seconds * rate) * len(targets)

    def tick(number: int, due: float) -> None:
        target = targets[number % len(targets)]
        target.asked += 1
        if target.idle:
            target.idle.pop(0).ask()
        else:
            target.late += 1
        if number + 1 == total:
            loop.call_later(1, done.set_result, None)
        else:
            due += 1 / (rate * len(targets))
            loop.call_at(due, tick, number + 1, due)

    loop.call_soon(tick, 0, loop.time())
    await done
    for target in targets:
        warm = target.waits_ms[len(target.waits_ms) // 10 :]
        say(asked=target.asked, answered=target.answered, late=target.late, **percentiles(warm))


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p99 and the greatest; zeros when there are none."""
    ordered = sorted(values) or [0.0]
    last = len(ordered) - 1
    return {"p50": ordered[last // 2], "p99": ordered[round(last * 0.99)], "max": ordered[last]}


async def serve(vendor: StreamVendor) -> None:
    """Listen, tell the port, and start the clock."""
    server = await vendor.loop.create_server(lambda: VendorConnection(vendor), "127.0.0.1", 0, backlog=4096)
    say(port=server.sockets[0].getsockname()[1])
    vendor.tick(0, vendor.loop.time())


def main(arguments: Sequence[str]) -> None:
    """Be what the first argument says until standard input, or the work, ends."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    role, *rest = arguments
    if role == "vendor":
        vendor = StreamVendor(loop)
        on_command(loop, vendor.command)
        loop.run_until_complete(serve(vendor))
        loop.run_forever()
    elif role == "streams":
        client = StreamClient(loop, int(rest[2]))
        on_command(loop, client.command)
        loop.run_until_complete(client.connect(rest[0], rest[1]))
        loop.run_forever()
    else:
        targets = [Target(url, key) for url, key in zip(rest[2::2], rest[3::2], strict=True)]
        loop.run_until_complete(paced(float(rest[0]), float(rest[1]), targets))


if __name__ == "__main__":
    main(sys.argv[1:])
