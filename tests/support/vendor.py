"""The well-behaved vendor: OpenAI's shapes for every mode, with usage and pieces that a test chooses."""

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from oneapi.wire import Json
from tests.support.upstream import Exchange, Gate

CREATED = 1_700_000_000
SPEECH = bytes(range(256)) * 8  # not UTF-8
TRANSCRIPT = "the quick brown fox"


@dataclass
class Vendor:
    """Answers like OpenAI.

    ``usage`` is (prompt, completion) tokens, None leaves it out. ``first`` is passed before the first byte of
    an answer, ``each`` before every streamed piece.
    """

    usage: tuple[int, int] | None = (13, 7)
    pieces: Sequence[str] = ("Hello", ", ", "world")
    first: Gate | None = None
    each: Gate | None = None
    details: Json = field(default_factory=dict)  # more keys of the usage object

    async def __call__(self, exchange: Exchange) -> None:
        """Answer by the path."""
        if self.first is not None:
            await self.first.passed()
        path = exchange.seen.path.split("/v1/", 1)[-1]
        if path in ("chat/completions", "completions"):
            await self._text(exchange, chat=path.startswith("chat"))
        elif path == "embeddings":
            self._embeddings(exchange)
        elif path.startswith("audio/"):
            self._audio(exchange, path.removeprefix("audio/"))
        elif path.startswith("images/"):
            picture = base64.b64encode(b"picture").decode()
            exchange.reply(200, {"created": CREATED, "data": [{"b64_json": picture}]})
        elif path == "moderations":
            result = {
                "flagged": False,
                "categories": {"violence": False},
                "category_scores": {"violence": 0.01},
            }
            exchange.reply(200, {"id": "modr-1", "model": exchange.seen.model, "results": [result]})
        else:
            exchange.reply(200, {"method": exchange.seen.method, "path": exchange.seen.path})

    def _usage(self) -> Json:
        assert self.usage is not None
        prompt, completion = self.usage
        counts = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        return {**counts, **self.details}

    async def _text(self, exchange: Exchange, *, chat: bool) -> None:
        body = exchange.seen.json
        if body.get("stream"):
            await self._stream(exchange, body, chat=chat)
            return
        text = "".join(self.pieces)
        said: Json = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        answer: Json = {
            "id": "chatcmpl-1",
            "object": "chat.completion" if chat else "text_completion",
            "created": CREATED,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", **said}],
        }
        if self.usage is not None:
            answer["usage"] = self._usage()
        exchange.reply(200, answer)

    async def _stream(self, exchange: Exchange, body: Json, *, chat: bool) -> None:
        exchange.begin()
        for piece in self.pieces:
            if self.each is not None:
                await self.each.passed()
            exchange.event(chunk(body["model"], piece, chat=chat))
        exchange.event(chunk(body["model"], None, finish="stop", chat=chat))
        if self.usage is not None and (body.get("stream_options") or {}).get("include_usage"):
            exchange.event({**chunk(body["model"], None), "choices": [], "usage": self._usage()})
        exchange.event(b"[DONE]")
        exchange.end()

    def _embeddings(self, exchange: Exchange) -> None:
        body = exchange.seen.json
        given = body["input"]
        count = len(given) if isinstance(given, list) and given and not isinstance(given[0], int) else 1
        numbers = [0.5, -1.0, 0.25]
        vector: object = numbers
        if body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack("<3f", *numbers)).decode()
        items = [{"object": "embedding", "index": i, "embedding": vector} for i in range(count)]
        assert self.usage is not None
        usage = {"prompt_tokens": self.usage[0], "total_tokens": self.usage[0]}
        exchange.reply(200, {"object": "list", "model": body["model"], "data": items, "usage": usage})

    def _audio(self, exchange: Exchange, kind: str) -> None:
        if kind == "speech":
            exchange.reply(200, SPEECH, "audio/mpeg")
        else:
            exchange.reply(200, {"text": TRANSCRIPT, "model": exchange.seen.model})


def chunk(model: str, text: str | None, *, finish: str | None = None, chat: bool = True) -> Json:
    """One streamed chunk; ``text`` None is a chunk without any."""
    said: Json = {"delta": {} if text is None else {"content": text}} if chat else {"text": text or ""}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "finish_reason": finish, **said}],
    }
