"""A channel test: one small real request, unbilled, straight to one channel."""

import time
from dataclasses import dataclass

import orjson

from oneapi import request_id
from oneapi.errors import GatewayError, UpstreamError
from oneapi.providers import BY_CHANNEL_TYPE
from oneapi.upstream.client import Client as UpstreamClient
from oneapi.wire import Call, Channel, Json, Mode, UpstreamReply

_REPLY_LIMIT_BYTES = 16 << 20
_SUCCESS = (200, 201)


@dataclass(frozen=True, slots=True)
class TestResult:
    """``message`` is the model's answer, or what went wrong."""

    ok: bool
    message: str
    model: str
    elapsed_s: float
    failure: UpstreamError | None = None


class ChannelTester:
    """Asks a channel a question, the way a client's request would go."""

    def __init__(self, upstream: UpstreamClient, prompt: str) -> None:
        self._upstream = upstream
        self._prompt = prompt

    async def test(self, channel: Channel, model: str) -> TestResult:
        """The outcome for ``model``, or for the channel's first one when it has no such. Never raises."""
        chosen = _model(channel, model)
        started = time.monotonic()
        try:
            message = await self._ask(channel, chosen)
        except GatewayError as error:
            failure = error if isinstance(error, UpstreamError) else None
            return TestResult(
                ok=False,
                message=_text(error),
                model=chosen,
                elapsed_s=time.monotonic() - started,
                failure=failure,
            )
        return TestResult(ok=True, message=message, model=chosen, elapsed_s=time.monotonic() - started)

    async def _ask(self, channel: Channel, model: str) -> str:
        provider = BY_CHANNEL_TYPE.get(channel.type)
        if provider is None:
            raise GatewayError("this channel type cannot be tested")
        mode, body = _question(channel.mapping.get(model, model), self._prompt)
        call = Call(
            mode=mode,
            channel=channel,
            path="/v1/" + mode.value,
            query="",
            model=body["model"],
            body=body,
            raw=orjson.dumps(body),
            now=int(time.time()),
            id=request_id.new(),
        )
        response = await self._upstream.send(provider.request(call))
        try:
            whole = await response.read(_REPLY_LIMIT_BYTES)
        finally:
            response.close()
        upstream_reply = UpstreamReply(response.status, response.headers, whole)
        if response.status not in _SUCCESS:
            raise provider.error(call, upstream_reply)
        return _answer(mode, provider.reply(call, upstream_reply).data)


def _model(channel: Channel, wanted: str) -> str:
    """The wanted model if the channel has it, else its first one; with no models at all, the wanted name."""
    if wanted in channel.models or not channel.models:
        return wanted or "gpt-3.5-turbo"
    return channel.models[0]


# Words in a model's name that tell what kind of request it answers; anything else chats.
_KINDS: tuple[tuple[str, Mode], ...] = (
    ("embed", Mode.EMBEDDINGS),
    ("bge-", Mode.EMBEDDINGS),
    ("moderation", Mode.MODERATIONS),
    ("instruct-completion", Mode.COMPLETIONS),
    ("davinci", Mode.COMPLETIONS),
    ("babbage", Mode.COMPLETIONS),
    ("turbo-instruct", Mode.COMPLETIONS),
)
_UNTESTABLE = (
    "dall-e",
    "gpt-image",
    "whisper",
    "transcribe",
    "tts",
    "stable-diffusion",
    "flux",
    "wanx",
    "cogview",
)


def _question(model: str, prompt: str) -> tuple[Mode, Json]:
    name = model.lower()
    if any(word in name for word in _UNTESTABLE):
        raise GatewayError(
            f"model {model} makes images or sound; a test would cost too much: test it by using it"
        )
    mode = next((mode for word, mode in _KINDS if word in name), Mode.CHAT)
    if mode is Mode.CHAT:
        return mode, {"messages": [{"role": "user", "content": prompt}], "model": model}
    if mode is Mode.COMPLETIONS:
        return mode, {"prompt": prompt, "model": model, "max_tokens": 16}
    return mode, {"input": prompt, "model": model}


def _answer(mode: Mode, data: Json | None) -> str:
    if mode in (Mode.EMBEDDINGS, Mode.MODERATIONS):
        return "ok"
    choices = (data or {}).get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise GatewayError("response has no choices")
    first = choices[0]
    text = first.get("text") if mode is Mode.COMPLETIONS else (first.get("message") or {}).get("content")
    if not isinstance(text, str):
        raise GatewayError("response content is not string")
    return text


def _text(error: GatewayError) -> str:
    if isinstance(error, UpstreamError) and error.upstream_status:
        return f"http status code: {error.upstream_status}, error message: {error.message}"
    return error.message
