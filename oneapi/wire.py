"""The shapes that all layers share: what a provider is given, what it answers, and how use is counted.

Everything here is plain data. A client's JSON stays a ``dict`` (it is edited, never re-typed, so fields we do
not know survive); what *we* know is a dataclass. None is changed after it was made; those that every request
makes are not frozen, because freezing a dozen of them costs ten microseconds of a request's eighty.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
HeaderList: TypeAlias = tuple[tuple[str, str], ...]


class Mode(Enum):
    """What the client asks for. The value is the path under ``/v1`` that asks for it."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    EDITS = "edits"
    EMBEDDINGS = "embeddings"
    MODERATIONS = "moderations"
    IMAGES = "images/generations"
    IMAGE_EDITS = "images/edits"
    SPEECH = "audio/speech"
    TRANSCRIPTION = "audio/transcriptions"
    TRANSLATION = "audio/translations"
    PROXY = "oneapi/proxy"


class Framing(Enum):
    """How the bytes of a streamed upstream answer are cut into events."""

    SSE = "text/event-stream"
    NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Channel:
    """An upstream account. ``models``, ``groups``, ``mapping``, ``settings`` are parsed when it is loaded."""

    id: int
    type: int
    name: str
    status: int
    key: str = field(repr=False)
    base_url: str  # never None; "" means the provider's default
    models: tuple[str, ...]
    groups: tuple[str, ...]
    mapping: Mapping[str, str]  # requested model -> upstream model; empty targets are left out
    priority: int
    weight: int  # 0 counts as 1 when a channel is drawn
    settings: Mapping[str, str] = field(repr=False)  # the ``config`` JSON, legacy ``other`` merged in
    system_prompt: str = ""


@dataclass(slots=True)
class Call:
    """One attempt on one channel, as a provider sees it. Time and ids arrive here: providers have neither."""

    mode: Mode
    channel: Channel
    path: str  # the client's path, "/v1/chat/completions"
    query: str  # the client's query string without "?"
    model: str  # what to ask the upstream for: after the channel's mapping
    body: Json | None = field(
        repr=False
    )  # the client's JSON object, already with model, prompt and stream options
    raw: bytes | None = field(repr=False)  # what to send unchanged; None when ``body`` was edited
    content_type: str = "application/json"
    accept: str = ""  # the client's Accept header
    stream: bool = False
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)  # the client's, lower-case names
    now: int = 0  # Unix seconds
    id: str = ""  # the exchange's id, for answers that need one


@dataclass(slots=True)
class UpstreamRequest:
    """An HTTP request to an upstream. ``headers`` hold secrets and stay out of ``repr``."""

    method: str
    url: str = field(repr=False)  # some vendors carry the key in the query
    headers: HeaderList = field(repr=False)
    body: bytes = field(repr=False, default=b"")


@dataclass(slots=True)
class Usage:
    """Tokens in disjoint buckets: nothing is counted twice, so the buckets add up to the total.

    OpenAI's ``prompt_tokens`` is ``prompt_tokens`` here: the sum of the input buckets.
    """

    input_uncached: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output_text: int = 0  # output that is neither reasoning nor audio nor image
    output_reasoning: int = 0
    output_audio: int = 0
    output_image: int = 0
    input_audio: int = 0
    input_image: int = 0
    estimated: bool = False  # counted here because the upstream named no usage

    @property
    def prompt_tokens(self) -> int:
        """All input tokens."""
        return self.input_uncached + self.cache_read + self.cache_write + self.input_audio + self.input_image

    @property
    def completion_tokens(self) -> int:
        """All output tokens."""
        return self.output_text + self.output_reasoning + self.output_audio + self.output_image

    @property
    def total_tokens(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(slots=True)
class Event:
    """One event of a streamed upstream answer: an SSE event, or a line of NDJSON (then ``name`` is empty)."""

    data: bytes
    name: str = ""


@dataclass(slots=True)
class Chunk:
    """One piece of a streamed answer in the canonical form: an OpenAI chunk object and what goes beside it.

    ``raw`` is the upstream's own text when it already is the chunk that an OpenAI client should get.
    ``text`` is all that the model produced in this chunk (content, reasoning, refusal, tool names and
    arguments): it decides whether anything was delivered and is what gets counted without a usage.
    """

    data: Json | None
    raw: bytes | None = None
    text: str = ""
    usage_only: bool = False  # carries usage and no choice: hidden from clients that did not ask
    extras: Json | None = None  # what chat has no word for: signatures, citations, cache marks


@dataclass(slots=True)
class UpstreamReply:
    """A whole upstream answer, already inflated. Header names are lower-case."""

    status: int
    headers: HeaderList
    body: bytes

    def header(self, name: str) -> str:
        """The first value of ``name`` (lower-case), or ``""``."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(slots=True)
class Reply:
    """A whole answer in the canonical form.

    ``data`` is None for what is not a JSON object (audio, subtitles). ``body`` is exactly what an OpenAI
    client gets. ``usage`` is None when the upstream named none.
    """

    body: bytes
    data: Json | None = None
    usage: Usage | None = None
    status: int = 200
    content_type: str = "application/json"
    headers: HeaderList = ()  # end-to-end headers to pass on, without Content-Type and Content-Length
    empty: bool = False  # a success that holds no answer: a failure to us
    extras: Json | None = None
