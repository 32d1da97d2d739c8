"""OpenAI's own protocol: what the client sends goes out as it is, what comes back passes through."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from oneapi.errors import ClientError, UpstreamError
from oneapi.providers import failures
from oneapi.providers.text import message_text, produced_text
from oneapi.providers.usage import usage_of
from oneapi.wire import (
    Call,
    Chunk,
    Event,
    Framing,
    HeaderList,
    Json,
    Mode,
    Reply,
    UpstreamReply,
    UpstreamRequest,
    Usage,
)

# One API's numbers of the modes: they are part of an error text that clients may know.
MODE_NUMBER = {
    Mode.CHAT: 1,
    Mode.COMPLETIONS: 2,
    Mode.EMBEDDINGS: 3,
    Mode.MODERATIONS: 4,
    Mode.IMAGES: 5,
    Mode.EDITS: 6,
    Mode.SPEECH: 7,
    Mode.TRANSCRIPTION: 8,
    Mode.TRANSLATION: 9,
    Mode.PROXY: 10,
}
# Hop-by-hop, about the bytes of the other connection, or about a server that is not us.
KEPT_BACK = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "content-encoding",
        "content-type",
        "date",
        "server",
        "set-cookie",
        "via",
        "alt-svc",
        "nel",
        "report-to",
        "strict-transport-security",
        "content-security-policy",
        "clear-site-data",
        "location",
        "refresh",
        "x-oneapi-request-id",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-allow-headers",
        "access-control-allow-methods",
        "access-control-expose-headers",
        "access-control-max-age",
    )
)
# Where an answer keeps what was asked for. Speech is bytes, and a transcript of silence is empty.
ANSWER = {Mode.EMBEDDINGS: "data", Mode.MODERATIONS: "results"}
# Finished on purpose without a word: hidden reasoning used up the limit, or a filter took the words away.
SILENT_FINISH = ("length", "content_filter")
TEXT_MODES = (Mode.CHAT, Mode.COMPLETIONS, Mode.EDITS)
AUDIO_TEXT_MODES = (Mode.TRANSCRIPTION, Mode.TRANSLATION)
DONE = b"[DONE]"

# Changes a decoded answer or chunk in place; True when it did.
Edit = Callable[[Json], bool]


def request(call: Call) -> UpstreamRequest:
    """The client's request at the channel's address: base URL + path + query."""
    return UpstreamRequest("POST", url(call), headers(call), content(call))


def asks_usage(call: Call) -> bool:  # noqa: ARG001  the protocol's signature
    """OpenAI names the usage of a stream on request only."""
    return True


def url(call: Call) -> str:
    """The channel's base URL with the client's path and query."""
    return base_url(call) + with_query(call.path, call.query)


def base_url(call: Call, default: str = "") -> str:
    """The channel's base URL, or the vendor's, without a slash at its end."""
    base = call.channel.base_url or default
    if not base:
        raise ClientError("the channel has no base URL", status=500, code="do_request_failed")
    return base.rstrip("/")


def with_query(path: str, query: str) -> str:
    """``path`` with the client's query string, if there is one."""
    return f"{path}?{query}" if query else path


def headers(call: Call) -> HeaderList:
    """The key, and of the client's headers only what One API sends on."""
    accept = call.accept or ("text/event-stream" if call.stream else "")
    return _bearer_headers(call.channel.key, call.content_type, accept)


def content_headers(call: Call) -> HeaderList:
    """Content-Type and Accept."""
    return _content_headers(call.content_type, call.accept or ("text/event-stream" if call.stream else ""))


@lru_cache(maxsize=1000)
def _bearer_headers(key: str, content_type: str, accept: str) -> HeaderList:
    return (("Authorization", f"Bearer {key}"), *_content_headers(content_type, accept))


def _content_headers(content_type: str, accept: str) -> HeaderList:
    first = ("Content-Type", content_type or "application/json")
    return (first, ("Accept", accept)) if accept else (first,)


def content(call: Call) -> bytes:
    """The client's own bytes when nothing was edited."""
    return call.raw if call.raw is not None else orjson.dumps(call.body)


def unsupported(call: Call, vendor: str) -> ClientError:
    """The vendor has no such mode."""
    mode = MODE_NUMBER.get(call.mode, call.mode.value)
    return ClientError(
        f"get request url failed: unsupported relay mode {mode} for {vendor}",
        status=500,
        code="do_request_failed",
    )


def reply(call: Call, reply: UpstreamReply) -> Reply:
    """The upstream's answer, byte for byte."""
    return edited_reply(call, reply, None)


def edited_reply(call: Call, reply: UpstreamReply, edit: Edit | None) -> Reply:
    """The upstream's answer; ``edit`` may bring a vendor's JSON into OpenAI's form.

    Raises UpstreamError for an error inside it, and for what cannot be read.
    """
    content_type, passed_on = end_to_end(reply.headers)
    if _is_raw(call.mode, content_type):
        return _raw_reply(reply, content_type, passed_on)
    data = decoded(call, reply)
    body = orjson.dumps(data) if edit is not None and edit(data) else reply.body
    usage = usage_of(data.get("usage"), total_is_prompt=call.mode is Mode.EMBEDDINGS)
    return Reply(body, data, usage, reply.status, content_type, passed_on, is_empty(call.mode, data))


def end_to_end(received: HeaderList) -> tuple[str, HeaderList]:
    """The content type, and the headers that are the answer's and not the connection's."""
    content_type = next((value for name, value in received if name == "content-type"), "")
    passed_on = tuple([header for header in received if header[0] not in KEPT_BACK])
    return content_type or "application/json", passed_on


def decoded(call: Call, reply: UpstreamReply) -> Json:
    """The JSON object of a success. Raises UpstreamError when it is none, or is an error."""
    try:
        data = orjson.loads(reply.body)
    except orjson.JSONDecodeError as exc:
        raise failures.not_json(reply) from exc
    if not isinstance(data, dict):
        if isinstance(data, list) and data and isinstance(data[0], dict) and failures.reports_error(data[0]):
            raise failures.in_band_error(call, data[0])  # Google wraps its error in an array
        raise failures.not_json(reply)
    if "error" in data and failures.reports_error(data):
        raise failures.in_band_error(call, data)
    if call.mode in TEXT_MODES and "choices" not in data and failures.fault_of(data, 200).message:
        raise failures.in_band_error(call, data)
    return data


def is_empty(mode: Mode, data: Json) -> bool:
    """Whether a success holds no answer."""
    if mode in TEXT_MODES:
        choices = data.get("choices")
        return not (isinstance(choices, list) and any(map(_answers, choices)))
    if mode in (Mode.IMAGES, Mode.IMAGE_EDITS):
        return not (data.get("data") or data.get("images"))
    return mode in ANSWER and not data.get(ANSWER[mode])


def error(call: Call, reply: UpstreamReply) -> UpstreamError:
    """The failure in an OpenAI error envelope, or in one of the many shapes around it."""
    return failures.upstream_error(call, reply)


def stream(call: Call) -> "TextStream | EventStream":
    """The state machine for chat and completions, or for the event streams of audio and images."""
    return TextStream(call) if call.mode in TEXT_MODES else EventStream(call)


class TextStream:
    """A streamed chat or completion. Chunks pass through with the upstream's own bytes."""

    __slots__ = ("_call", "_chat", "_edit", "answered", "done", "framing", "usage")

    def __init__(self, call: Call, edit: Edit | None = None) -> None:
        self.framing = Framing.SSE
        self.usage: Usage | None = None
        self.done = False
        self.answered = False
        self._call = call
        self._chat = call.mode is Mode.CHAT
        self._edit = edit

    def feed(self, event: Event) -> list[Chunk]:
        """One chunk or none. What is no JSON object passes as it is: One API's clients get it too."""
        data = event.data
        if data == DONE:
            self.done = True
            return []
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            return self._unreadable(data)
        if not isinstance(chunk, dict):
            return self._unreadable(data)
        if chunk.get("error") and failures.reports_error(chunk):
            raise failures.in_band_error(self._call, chunk)
        if "x_groq" in chunk:
            self._read_groq(chunk["x_groq"])
        raw: bytes | None = data
        if (self._edit is not None and self._edit(chunk)) or b"\n" in data:
            raw = None
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices:
            return self._without_choices(chunk, raw)
        text = self._read(choices)
        named = chunk.get("usage")
        if named is not None:
            self.usage = usage_of(named) or self.usage
        return [Chunk(chunk, raw, text)]

    def finish(self) -> list[Chunk]:
        """Nothing is left over. A missing ``[DONE]`` is no failure, a stream without any answer is one."""
        if not self.answered:
            raise failures.no_answer()
        return []

    def _read(self, choices: list[Any]) -> str:
        """The text of all choices; notes what their finish says."""
        text = ""
        for choice in choices:
            if not isinstance(choice, dict):
                continue
            delta = choice.get("delta")
            if delta is None:
                text += message_text(choice)
            elif isinstance(delta, dict):
                text += produced_text(delta)
            finish = choice.get("finish_reason")
            if finish:
                if finish in SILENT_FINISH:
                    self.answered = True
                self.usage = usage_of(choice.get("usage")) or self.usage  # Moonshot
        if text:
            self.answered = True
        return text

    def _read_groq(self, note: Any) -> None:
        """Groq's own note beside the chunk: the usage at the end, or a failure in the middle."""
        if isinstance(note, dict):
            if failures.reports_error(note):
                raise failures.in_band_error(self._call, note)
            self.usage = usage_of(note.get("usage")) or self.usage

    def _without_choices(self, chunk: Json, raw: bytes | None) -> list[Chunk]:
        named = usage_of(chunk.get("usage"))
        if named is not None:
            self.usage = named
        elif self._chat:
            return []  # Azure's prompt filter results: clients index choices[0]
        return [Chunk(chunk, raw, usage_only=named is not None)]

    def _unreadable(self, data: bytes) -> list[Chunk]:
        """No JSON object: ``[DONE]`` in other clothes, an empty keep-alive, or something to pass on."""
        bare = data.strip().strip(b'"')
        if bare == DONE:
            self.done = True
            return []
        return [Chunk(None, data.replace(b"\n", b" "))] if bare else []


class EventStream:
    """A streamed transcript, image or speech: named events that pass through."""

    __slots__ = ("_call", "answered", "done", "framing", "usage")

    def __init__(self, call: Call) -> None:
        self.framing = Framing.SSE
        self.usage: Usage | None = None
        self.done = False
        self.answered = False
        self._call = call

    def feed(self, event: Event) -> list[Chunk]:
        """The event itself."""
        if event.data == DONE:
            self.done = True
            return []
        try:
            data = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            data = None
        if not isinstance(data, dict):
            return [Chunk(None, event.data.replace(b"\n", b" "))] if event.data.strip() else []
        if failures.reports_error(data):
            raise failures.in_band_error(self._call, data)
        self.answered = True
        self.usage = usage_of(data.get("usage")) or self.usage
        delta = data.get("delta")
        text = delta if isinstance(delta, str) else ""
        return [Chunk(data, None if b"\n" in event.data else event.data, text)]

    def finish(self) -> list[Chunk]:
        """Nothing is left over; a stream without a single event is a failure."""
        if not self.answered:
            raise failures.no_answer()
        return []


def _is_raw(mode: Mode, content_type: str) -> bool:
    """Whether the body is not JSON by design: audio, or a transcript as text or subtitles."""
    if mode is Mode.SPEECH or mode in AUDIO_TEXT_MODES:
        return "json" not in content_type and "html" not in content_type
    return False


def _raw_reply(reply: UpstreamReply, content_type: str, passed_on: HeaderList) -> Reply:
    return Reply(
        body=reply.body,
        status=reply.status,
        content_type=content_type,
        headers=passed_on,
        empty=not reply.body,
    )


def _answers(choice: Any) -> bool:
    """Whether a choice holds something that the model produced."""
    if not isinstance(choice, dict):
        return False
    message = choice.get("message")
    if isinstance(message, dict) and message.get("content"):
        return True
    message = choice.get("message")
    if isinstance(message, dict) and message.get("content"):
        return True
    if choice.get("finish_reason") in SILENT_FINISH:
        return True
    return bool(message_text(choice))
