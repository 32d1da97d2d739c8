"""Vendors that fail, each in its own way. All of them see the whole request first."""

import array
import asyncio
import fcntl
import termios

from tests.support.upstream import Behaviour, Exchange
from tests.support.vendor import Vendor, chunk

HTML = b"<!DOCTYPE html><html><head><title>Welcome to nginx</title></head><body>It works</body></html>"
MODEL = "any"  # what a chunk of a failing vendor says does not matter


def status(code: int, body: object, content_type: str = "application/json") -> Behaviour:
    """Always the same answer."""

    async def behave(exchange: Exchange) -> None:
        exchange.reply(code, body, content_type)

    return behave


def vendor_error(
    code: int, message: str, kind: str = "server_error", error_code: str | None = None
) -> Behaviour:
    """An error in OpenAI's shape."""
    return status(code, {"error": {"message": message, "type": kind, "param": None, "code": error_code}})


async def garbage(exchange: Exchange) -> None:
    """Bytes that are not HTTP."""
    exchange.raw(b"\x00\xff\xfe this is not HTTP \x80\r\n\r\n")
    exchange.close()


async def nothing_at_all(exchange: Exchange) -> None:
    """Closes without a byte."""
    exchange.close()


async def reset_at_once(exchange: Exchange) -> None:
    """Resets without a byte."""
    exchange.reset()


async def reset_after_head(exchange: Exchange) -> None:
    """Resets when the head has been sent."""
    exchange.begin()
    exchange.reset()


async def half_head(exchange: Exchange) -> None:
    """Closes within the head."""
    exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Ty")
    exchange.close()


async def cut_body(exchange: Exchange) -> None:
    """Closes before the announced length is reached."""
    exchange.head(200, ("Content-Type", "application/json"), ("Content-Length", "5000"))
    exchange.raw(b'{"id":"chatcmpl-1","choices":[{"message":{"content":"Hel')
    exchange.close()


async def half_chunk(exchange: Exchange) -> None:
    """Closes within an HTTP chunk, before any content was complete."""
    exchange.begin()
    exchange.raw(b'400\r\ndata: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"con')
    exchange.close()


async def empty_stream(exchange: Exchange) -> None:
    """A stream of nothing."""
    exchange.begin()
    exchange.end()


async def stream_without_content(exchange: Exchange) -> None:
    """Begins, ends, and says nothing in between."""
    exchange.begin()
    first = chunk(MODEL, "")
    first["choices"][0]["delta"] = {"role": "assistant", "content": ""}
    exchange.event(first)
    exchange.event(b"[DONE]")
    exchange.end()


async def error_in_stream(exchange: Exchange) -> None:
    """A 200 whose first event is an error."""
    exchange.begin()
    exchange.event(
        {"error": {"message": "overloaded, come back later", "type": "server_error", "code": "overloaded"}}
    )
    exchange.end()


async def one_megabyte_line(exchange: Exchange) -> None:
    """A good stream with 1 MB of content in one event; a good plain answer of that size."""
    await Vendor(pieces=["x" * 1_000_000])(exchange)


async def reset_mid_stream(exchange: Exchange) -> None:
    """Resets after two pieces."""
    exchange.begin()
    exchange.event(chunk(MODEL, "one "))
    exchange.event(chunk(MODEL, "two "))
    await _flushed(exchange)
    exchange.reset()


async def half_chunk_mid_stream(exchange: Exchange) -> None:
    """Closes within an HTTP chunk after two pieces."""
    exchange.begin()
    exchange.event(chunk(MODEL, "one "))
    exchange.event(chunk(MODEL, "two "))
    exchange.raw(b"400\r\ndata: {")
    exchange.close()


async def error_mid_stream(exchange: Exchange) -> None:
    """An error event after two pieces."""
    exchange.begin()
    exchange.event(chunk(MODEL, "one "))
    exchange.event(chunk(MODEL, "two "))
    exchange.event({"error": {"message": "the model crashed", "type": "server_error", "code": None}})
    exchange.end()


async def _flushed(exchange: Exchange) -> None:
    """Return when the peer has acknowledged everything: a reset throws away what is under way."""
    sock = exchange.transport.get_extra_info("socket")
    unsent = array.array("i", [1])
    while unsent[0]:
        await asyncio.sleep(0.001)
        fcntl.ioctl(sock, termios.TIOCOUTQ, unsent)


# Nothing of an answer arrives: an error, no charge, and another channel may try.
BEFORE_CONTENT: dict[str, Behaviour] = {
    "HTML with 200": status(200, HTML, "text/html"),
    "HTML with 502": status(502, HTML, "text/html"),
    "garbage instead of HTTP": garbage,
    "JSON that is none": status(200, b"this is not JSON"),
    "half a JSON": status(200, b'{"id":"chatcmpl-1","choices":[{"index":0,"mess'),
    "JSON of another shape": status(200, [1, 2, 3]),
    "an error inside a 200": vendor_error(200, "you have hit a wall", "server_error"),
    "an empty 200": status(200, b""),
    "a body cut short": cut_body,
    "half a head": half_head,
    "nothing at all": nothing_at_all,
    "a reset at once": reset_at_once,
    "a reset after the head": reset_after_head,
    "500": vendor_error(500, "internal error"),
    "503": vendor_error(503, "overloaded"),
    "429": vendor_error(429, "slow down", "rate_limit_error"),
}
# The same for streams only.
BEFORE_CONTENT_STREAMED: dict[str, Behaviour] = {
    "half a chunk": half_chunk,
    "an empty stream": empty_stream,
    "a stream without content": stream_without_content,
    "an error as first event": error_in_stream,
}
# Part of an answer has been delivered: it is paid for, and the stream ends with an error.
AFTER_CONTENT: dict[str, Behaviour] = {
    "a reset": reset_mid_stream,
    "half a chunk": half_chunk_mid_stream,
    "an error event": error_mid_stream,
}
