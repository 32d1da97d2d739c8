"""The dialect that clients of ``/v1`` speak: OpenAI's. Pure: bytes to demand, errors and chunks to bytes.

The checks and their texts are One API's (contract sections 5.2 and 5.5).
"""

import math
from collections.abc import Callable
from typing import Any

import orjson

from oneapi.errors import ClientError, GatewayError, UpstreamError
from oneapi.relay import multipart
from oneapi.relay.exchange import Demand, Inbound
from oneapi.wire import Chunk, Json, Mode

DONE = b"data: [DONE]\n\n"
STREAM_HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache"),
    ("X-Accel-Buffering", "no"),
)
_ERROR_HEADERS = (("Content-Type", "application/json; charset=utf-8"),)

_DEFAULT_MODEL = {
    Mode.MODERATIONS: "text-moderation-stable",
    Mode.IMAGES: "dall-e-2",
    Mode.IMAGE_EDITS: "dall-e-2",
    Mode.TRANSCRIPTION: "whisper-1",
    Mode.TRANSLATION: "whisper-1",
}
_INVALID_CODE = {
    Mode.IMAGES: "invalid_image_request",
    Mode.IMAGE_EDITS: "invalid_image_request",
    Mode.SPEECH: "invalid_json",
}
_MAX_TOKENS = 1073741823
_SPEECH_LIMIT = 4096

# Only what the gateway itself reads is checked; the upstream knows its own parameters better.
_TYPES: dict[str, tuple[type, str]] = {
    "max_tokens": (int, "an integer"),
    "max_completion_tokens": (int, "an integer"),
    "n": (int, "an integer"),
    "stream": (bool, "true or false"),
    "stream_options": (dict, "an object"),
    "messages": (list, "an array"),
    "tools": (list, "an array"),
}


def read(inbound: Inbound) -> Demand:
    """The demand of ``inbound``. Raises ClientError (400) when the body cannot be read at all."""
    content_type = inbound.headers.get("content-type", "")
    if content_type != "application/json":
        if multipart.is_multipart(content_type):
            return _read_form(inbound, content_type)
        if content_type[:16].lower() != "application/json":
            content_type = "application/json"
    body = _decode(inbound.body)
    model = body.get("model") or inbound.path_model or _DEFAULT_MODEL.get(inbound.mode, "")
    if not isinstance(model, str):
        raise ClientError("the field model must be a string", code="invalid_text_request")
    options = body.get("stream_options")
    return Demand(
        mode=inbound.mode,
        model=model,
        raw=inbound.body,
        content_type=content_type,
        body=body,
        stream=body.get("stream") is True,
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def check(demand: Demand) -> None:
    """Raises ClientError (400) when the demand cannot be served as it is."""
    checker = _CHECKS.get(demand.mode)
    if checker is not None:
        checker(demand.body or {}, demand)


def error_body(error: GatewayError, request_id: str) -> bytes:
    """One API's error envelope; the request id helps the operator to find the log line."""
    detail = {
        "message": f"{error.message} (request id: {request_id})",
        "type": error.type,
        "param": "" if error.param is None else error.param,
        "code": error.code,
    }
    return orjson.dumps({"error": detail})


def error_headers(error: GatewayError) -> tuple[tuple[str, str], ...]:
    """The headers of an error; the pause that an upstream asked for is the client's to keep now."""
    pause_s = error.retry_after_s if isinstance(error, UpstreamError) else None
    if pause_s is None:
        return _ERROR_HEADERS
    return (*_ERROR_HEADERS, ("Retry-After", str(math.ceil(pause_s))))


def error_event(error: GatewayError, request_id: str) -> bytes:
    """The same inside a stream that has begun."""
    return b"data: " + error_body(error, request_id) + b"\n\n"


def chunk_event(chunk: Chunk) -> bytes:
    """A chunk as an event for the client."""
    data = chunk.raw if chunk.raw is not None else orjson.dumps(chunk.data)
    if b"\n" in data:  # several data lines of one event were joined: cut them again
        data = data.replace(b"\n", b"\ndata: ")
    return b"data: " + data + b"\n\n"


def _decode(raw: bytes) -> Json:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise ClientError(f"the request body is not valid JSON: {exc}", code="invalid_text_request") from exc
    if not isinstance(body, dict):
        raise ClientError("the request body must be a JSON object", code="invalid_text_request")
    return body


def _read_form(inbound: Inbound, content_type: str) -> Demand:
    fields = multipart.fields(content_type, inbound.body)
    named = fields.get("model")
    model = named.value if named is not None and named.value else _DEFAULT_MODEL.get(inbound.mode, "")
    return Demand(
        mode=inbound.mode,
        model=model,
        raw=inbound.body,
        content_type=content_type,
        form={name: field.value for name, field in fields.items()},
        model_span=(named.start, named.end) if named is not None else None,
        stream="stream" in fields and fields["stream"].value == "true",
    )


def _check_types(body: Json, code: str) -> None:
    for name, value in body.items():
        known = _TYPES.get(name)
        if known is not None and value is not None and type(value) is not known[0]:
            raise ClientError(f"the field {name} must be {known[1]}", code=code)


def _check_text(body: Json, demand: Demand) -> None:
    code = "invalid_text_request"
    if demand.body is None:
        raise ClientError("the request body must be a JSON object", code=code)
    _check_types(body, code)
    limit = body.get("max_tokens")
    if limit is not None and not 0 <= limit <= _MAX_TOKENS:
        raise ClientError("max_tokens is invalid", code=code)
    if not demand.model:
        raise ClientError("model is required", code=code)


def _check_chat(body: Json, demand: Demand) -> None:
    _check_text(body, demand)
    messages = body.get("messages")
    if not messages:
        raise ClientError("field messages is required", code="invalid_text_request")
    for message in messages:
        if not isinstance(message, dict):
            raise ClientError("each message must be an object", code="invalid_text_request")
        content = message.get("content")
        if isinstance(content, list):
            _check_parts(content)
        elif content is not None and not isinstance(content, str):
            text = "the content of a message must be a string or an array of parts"
            raise ClientError(text, code="invalid_text_request")


def _check_parts(parts: list[Any]) -> None:
    for part in parts:
        if not isinstance(part, dict):
            text = "each content part must be an object"
            raise ClientError(text, code="invalid_text_request")
        if part.get("type") != "image_url":
            continue
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        if not isinstance(url, str):
            text = "an image_url part needs a url"
            raise ClientError(text, code="invalid_text_request")


def _needs(name: str, *, absent_passes: bool) -> Callable[[Json, Demand], None]:
    def checker(body: Json, demand: Demand) -> None:
        _check_text(body, demand)
        value = body.get(name)
        if value == "" or (value is None and not absent_passes):
            raise ClientError(f"field {name} is required", code="invalid_text_request")

    return checker


def _check_speech(body: Json, demand: Demand) -> None:
    text = body.get("input")
    if demand.body is None or not isinstance(text, str):
        raise ClientError("the field input must be a string", code="invalid_json")
    if len(text.encode()) > _SPEECH_LIMIT:
        raise ClientError("input is too long (over 4096 characters)", code="text_too_long")


def _check_image(body: Json, demand: Demand) -> None:
    code = "invalid_image_request"
    if demand.mode is Mode.IMAGES and demand.body is None:
        raise ClientError("the request body must be a JSON object", code=code)
    if demand.body is None:
        return
    _check_types(body, code)
    for name in ("prompt", "size", "quality"):
        if not isinstance(body.get(name, ""), str | None):
            raise ClientError(f"the field {name} must be a string", code=code)


_AUDIO_FORMATS = ("", "json", "text", "srt", "verbose_json", "vtt", "diarized_json")


def _check_audio(_body: Json, demand: Demand) -> None:
    if demand.body is not None:
        text = "the request must be a multipart form with a file"
        raise ClientError(text, code="invalid_multipart")
    if demand.form.get("response_format", "") not in _AUDIO_FORMATS:
        # 500 is what clients of One API know here.
        raise ClientError("unexpected_response_format", status=500, code="unexpected_response_format")


_CHECKS: dict[Mode, Callable[[Json, Demand], None]] = {
    Mode.CHAT: _check_chat,
    Mode.COMPLETIONS: _needs("prompt", absent_passes=True),
    Mode.MODERATIONS: _needs("input", absent_passes=True),
    Mode.EDITS: _needs("instruction", absent_passes=False),
    Mode.EMBEDDINGS: _check_text,
    Mode.SPEECH: _check_speech,
    Mode.IMAGES: _check_image,
    Mode.IMAGE_EDITS: _check_image,
    Mode.TRANSCRIPTION: _check_audio,
    Mode.TRANSLATION: _check_audio,
}
