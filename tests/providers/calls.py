"""Calls and answers for the tests of providers."""

from dataclasses import replace
from typing import Any

import orjson

from oneapi.providers import BY_CHANNEL_TYPE
from oneapi.providers.base import Stream
from oneapi.wire import Call, Channel, Event, Mode, Reply, UpstreamReply

CHANNEL = Channel(
    id=1,
    type=1,
    name="c",
    status=1,
    key="sk-channel-key-0001",
    base_url="https://up.example",
    models=(),
    groups=(),
    mapping={},
    priority=0,
    weight=0,
    settings={},
)


def call_to(channel_type: int = 1, mode: Mode = Mode.CHAT, **fields: Any) -> Call:
    given: dict[str, Any] = {
        "mode": mode,
        "path": f"/v1/{mode.value}",
        "query": "",
        "model": "m",
        "body": {"model": "m"},
        "raw": b'{"model":"m"}',
        "now": 1735732800,
    }
    base_url = fields.pop("base_url", CHANNEL.base_url)
    settings = fields.pop("settings", {})
    channel = replace(CHANNEL, type=channel_type, base_url=base_url, settings=settings)
    return Call(**{**given, "channel": channel, **fields})


def answer(body: Any, status: int = 200, **headers: str) -> UpstreamReply:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {"content-type": "application/json", **{name.replace("_", "-"): v for name, v in headers.items()}}
    return UpstreamReply(status, tuple(named.items()), data)


def reply_to(body: Any, mode: Mode = Mode.CHAT, channel_type: int = 1, **headers: str) -> Reply:
    return BY_CHANNEL_TYPE[channel_type].reply(call_to(channel_type, mode), answer(body, 200, **headers))


def chat(message: Any, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, **choice}]}


def streamed(stream: Stream, *events: Any) -> list[Any]:
    chunks = []
    for event in events:
        data = event if isinstance(event, bytes) else orjson.dumps(event)
        chunks += stream.feed(Event(data))
    return chunks


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}
