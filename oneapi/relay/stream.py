"""A streamed answer: pieces -> events -> chunks -> client, with back-pressure, held until it has content."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

from oneapi.providers.base import Stream
from oneapi.relay import dialect
from oneapi.relay.delivery import Delivery
from oneapi.relay.exchange import Client
from oneapi.upstream.jsonlines import JSONLinesDecoder
from oneapi.upstream.response import Response
from oneapi.upstream.sse import SSEDecoder
from oneapi.wire import Chunk, Event, Framing

HeaderPairs = Sequence[tuple[str, str]]


class Decoder(Protocol):
    """Bytes to events, cut anywhere."""

    def feed(self, piece: bytes) -> list[Event]:
        """The events that ``piece`` completes."""

    def finish(self) -> list[Event]:
        """What is left at the end."""


_DECODERS: dict[Framing, type[SSEDecoder] | type[JSONLinesDecoder]] = {
    Framing.SSE: SSEDecoder,
    Framing.NDJSON: JSONLinesDecoder,
}

# An upstream that has answered but thinks for long: after this the client gets its head and what there is,
# since a client's own patience for a first byte is shorter than a model's longest thought.
HOLD_BACK_S = 5.0


class StreamRelay:
    """Relays one streamed answer to one client.

    Nothing reaches the client before the first content: an upstream that fails or ends before it has cost
    nothing, and another channel can still answer in its place.
    """

    def __init__(
        self, client: Client, headers: HeaderPairs, delivery: Delivery, *, wants_usage: bool
    ) -> None:
        self._client = client
        self._headers = headers
        self._delivery = delivery
        self._wants_usage = wants_usage
        self._held: list[bytes] = []

    async def run(self, response: Response, stream: Stream) -> None:
        """Relay to the end. Raises UpstreamError when the upstream fails or delivers nothing.

        ``delivery`` says what was sent, also when this raises or is cancelled.
        """
        decoder: Decoder = _DECODERS[stream.framing]()
        timer = asyncio.get_running_loop().call_later(HOLD_BACK_S, self._open)
        try:
            await response.pour(_Sink(self, decoder, stream))
            wait = self.pass_on(stream, decoder.finish(), last=True)
            if wait is not None:
                await wait
        finally:
            timer.cancel()
            self._delivery.usage = stream.usage
        self._open()
        self._client.send(dialect.DONE)
        self._client.end()

    def pass_on(self, stream: Stream, events: list[Event], *, last: bool = False) -> Awaitable[None] | None:
        """Send the chunks of ``events``; what the next call has to wait for."""
        out: list[bytes] = []
        try:
            for event in events:
                for chunk in stream.feed(event):
                    self._note(chunk, out)
            if last:
                for chunk in stream.finish():
                    self._note(chunk, out)
        finally:
            # What came before a failure in the same piece was produced and is delivered.
            wait = self._write(out)
        return wait

    def _note(self, chunk: Chunk, out: list[bytes]) -> None:
        if chunk.text:
            self._delivery.add(chunk.text)
        elif not chunk.usage_only and chunk.data is not None and "choices" not in chunk.data:
            self._delivery.passed = True  # an event of sound or pictures
        if chunk.usage_only and not self._wants_usage:
            return
        out.append(dialect.chunk_event(chunk))

    def _write(self, out: list[bytes]) -> Awaitable[None] | None:
        if not self._client.started:
            self._held += out
            if self._delivery.produced:
                return self._open()
            return None
        if len(out) == 1:
            return self._client.send(out[0])
        return self._client.send(b"".join(out)) if out else None

    def _open(self) -> Awaitable[None] | None:
        if self._client.started:
            return None
        self._client.begin(200, self._headers)
        held, self._held = b"".join(self._held), []
        return self._client.send(held) if held else None


class _Sink:
    """Takes the pieces as the socket gets them."""

    __slots__ = ("_decoder", "_relay", "_stream")

    def __init__(self, relay: StreamRelay, decoder: Decoder, stream: Stream) -> None:
        self._relay = relay
        self._decoder = decoder
        self._stream = stream

    @property
    def done(self) -> bool:
        """The upstream said that this was all."""
        return self._stream.done

    def take(self, piece: bytes) -> Awaitable[None] | None:
        """Decode and send on what the piece completes."""
        return self._relay.pass_on(self._stream, self._decoder.feed(piece))
