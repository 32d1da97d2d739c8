"""Every channel type that speaks OpenAI's protocol: one row each, with its address and its departures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from oneapi.errors import UpstreamError
from oneapi.providers import openai, quirks
from oneapi.wire import Call, Chunk, Event, HeaderList, Json, Mode, Reply, UpstreamReply, UpstreamRequest

AI_GATEWAY = "https://gateway.ai.cloudflare.com"


@dataclass(frozen=True, slots=True)
class Vendor:
    """A row of the table: OpenAI's behaviour but for what the row says.

    ``bases``: channel type -> base URL when the channel has none. ``path``: the path of a call below the
    base URL, None for a mode that the vendor does not have.
    """

    name: str
    bases: Mapping[int, str]
    path: Callable[[Call], str | None]
    headers: HeaderList = ()
    names_usage: bool = False  # in every stream, asked or not: do not ask
    edit_request: Callable[[Call], Json | None] | None = None
    edit_answer: openai.Edit | None = None
    failure: Callable[[Call, Json], UpstreamError | None] | None = None
    stream_of: Callable[[Call, openai.Edit | None], openai.TextStream] = openai.TextStream

    @property
    def channel_types(self) -> tuple[int, ...]:
        """One API's numbers for this vendor."""
        return tuple(self.bases)

    def asks_usage(self, call: Call) -> bool:  # noqa: ARG002  the protocol's signature
        """Whether ``include_usage`` is known and needed."""
        return not self.names_usage

    def request(self, call: Call) -> UpstreamRequest:
        """The client's request at the vendor's address."""
        path = self.path(call)
        if path is None:
            raise openai.unsupported(call, self.name)
        url = openai.base_url(call, self.bases[call.channel.type]) + path
        if call.query:
            url += f"?{call.query}"
        edited = None if self.edit_request is None or call.body is None else self.edit_request(call)
        content = openai.content(call) if edited is None else orjson.dumps(edited)
        headers = openai.headers(call)
        return UpstreamRequest("POST", url, headers + self.headers if self.headers else headers, content)

    def reply(self, call: Call, reply: UpstreamReply) -> Reply:
        """The vendor's answer in OpenAI's form."""
        return openai.edited_reply(call, reply, self._edit(call))

    def stream(self, call: Call) -> openai.TextStream | openai.EventStream:
        """The vendor's stream in OpenAI's form."""
        if call.mode in openai.TEXT_MODES:
            return self.stream_of(call, self._edit(call))
        return openai.EventStream(call)

    def error(self, call: Call, reply: UpstreamReply) -> UpstreamError:
        """The failure that the vendor reports."""
        return openai.error(call, reply)

    def _edit(self, call: Call) -> openai.Edit | None:
        """The row's edit, after a look for a failure that is dressed as a success."""
        if self.failure is None:
            return self.edit_answer
        return lambda answer: self._checked(call, answer)

    def _checked(self, call: Call, answer: Json) -> bool:
        error = self.failure(call, answer) if self.failure is not None else None
        if error is not None:
            raise error
        return self.edit_answer is not None and self.edit_answer(answer)


class MinimaxStream(openai.TextStream):
    """MiniMax closes with a whole ``chat.completion``: what was streamed must not be said again."""

    __slots__ = ("_finished",)

    def __init__(self, call: Call, edit: openai.Edit | None) -> None:
        super().__init__(call, edit)
        self._finished = False

    def feed(self, event: Event) -> list[Chunk]:
        """The event's chunk; the closing frame becomes what OpenAI would send in its place."""
        chunks: list[Chunk] = []
        answered = self.answered
        for chunk in super().feed(event):
            choice = _only_choice(chunk)
            if choice is not None and isinstance(choice.get("message"), dict):
                chunks += self._closing(chunk, choice, answered=answered)
            else:
                self._finished = self._finished or bool(choice and choice.get("finish_reason"))
                chunks.append(chunk)
        return chunks

    def _closing(self, chunk: Chunk, choice: Json, *, answered: bool) -> list[Chunk]:
        frame = dict(chunk.data or {}, object="chat.completion.chunk")
        usage = frame.pop("usage", None)
        closing = []
        if not answered or not self._finished:
            delta = {} if answered else choice["message"]
            rest = {name: value for name, value in choice.items() if name != "message"}
            text = "" if answered else chunk.text
            closing.append(Chunk({**frame, "choices": [{**rest, "delta": delta}]}, text=text))
            self._finished = True
        if usage:
            closing.append(Chunk({**frame, "choices": [], "usage": usage}, usage_only=True))
        return closing


def _only_choice(chunk: Chunk) -> Json | None:
    choices = chunk.data.get("choices") if chunk.data is not None else None
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None


def as_asked(call: Call) -> str:
    """The client's own path."""
    return call.path


def without_version(call: Call) -> str:
    """The client's path without ``/v1``: the base URL has the version."""
    return call.path.removeprefix("/v1")


def openai_path(call: Call) -> str:
    """The client's path; Cloudflare's AI Gateway brings the version itself."""
    return without_version(call) if call.channel.base_url.startswith(AI_GATEWAY) else call.path


def doubao_path(call: Call) -> str | None:
    """Volcengine Ark: bots have a path of their own."""
    if call.mode is Mode.CHAT:
        return "/api/v3/bots/chat/completions" if call.model.startswith("bot") else "/api/v3/chat/completions"
    return "/api/v3/embeddings" if call.mode is Mode.EMBEDDINGS else None


def bailian_path(call: Call) -> str | None:
    """DashScope's compatible mode."""
    if call.mode in (Mode.CHAT, Mode.EMBEDDINGS):
        return f"/compatible-mode/v1/{call.mode.value}"
    return None


def spark_path(call: Call) -> str:
    """Spark's reasoning model lives under another version."""
    return "/v2/chat/completions" if call.mode is Mode.CHAT and call.model.lower() == "x1" else call.path


def chat_only(path: str) -> Callable[[Call], str | None]:
    """``path`` for chat; no other mode exists."""
    return lambda call: path if call.mode is Mode.CHAT else None


OPENAI = Vendor("openai", {1: "https://api.openai.com"}, openai_path)
RESELLERS = Vendor(
    "openai reseller",
    {
        0: "",
        2: "https://oa.api2d.net",
        4: "https://api.closeai-proxy.xyz",
        5: "https://api.openai-sb.com",
        6: "https://api.openaimax.com",
        7: "https://api.ohmygpt.com",
        8: "",
        9: "https://api.caipacity.com",
        10: "https://api.aiproxy.io",
        12: "https://api.api2gpt.com",
        13: "https://api.aigc2d.com",
    },
    as_asked,
)
VENDORS = (
    OPENAI,
    RESELLERS,
    Vendor("360", {19: "https://ai.360.cn"}, as_asked),
    Vendor(
        "openrouter",
        {20: "https://openrouter.ai/api"},
        as_asked,
        # OpenRouter's way of knowing an application. One API's own values: accounts may be sorted by them.
        headers=(("HTTP-Referer", "https://github.com/songquanpeng/one-api"), ("X-Title", "One API")),
        edit_answer=quirks.copies_reasoning,
    ),
    Vendor("fastgpt", {22: "https://fastgpt.run/api/openapi"}, as_asked),
    Vendor("moonshot", {25: "https://api.moonshot.cn"}, as_asked),
    Vendor("baichuan", {26: "https://api.baichuan-ai.com"}, as_asked),
    Vendor(
        "minimax",
        {27: "https://api.minimax.chat"},
        chat_only("/v1/text/chatcompletion_v2"),
        names_usage=True,
        failure=quirks.minimax_failure,
        stream_of=MinimaxStream,
    ),
    Vendor(
        "mistral",
        {28: "https://api.mistral.ai"},
        as_asked,
        names_usage=True,
        edit_request=quirks.fits_mistral,
        edit_answer=quirks.speaks_as_openai,
    ),
    Vendor("groq", {29: "https://api.groq.com/openai"}, as_asked, edit_answer=quirks.copies_reasoning),
    Vendor("lingyiwanwu", {31: "https://api.lingyiwanwu.com"}, as_asked),
    Vendor("stepfun", {32: "https://api.stepfun.com"}, as_asked),
    Vendor(
        "deepseek",
        {36: "https://api.deepseek.com"},
        as_asked,
        edit_request=quirks.strips_reasoning,
        edit_answer=quirks.names_cached_tokens,
    ),
    Vendor("together", {39: "https://api.together.xyz"}, as_asked, edit_answer=quirks.names_finish),
    Vendor(
        "doubao", {40: "https://ark.cn-beijing.volces.com"}, doubao_path, edit_answer=quirks.sums_bot_usage
    ),
    Vendor("novita", {41: "https://api.novita.ai/v3/openai"}, chat_only("/chat/completions")),
    Vendor("siliconflow", {44: "https://api.siliconflow.cn"}, as_asked, edit_answer=quirks.lists_images),
    Vendor(
        "xai",
        {45: "https://api.x.ai"},
        as_asked,
        edit_request=quirks.orders_plain_images,
        edit_answer=quirks.counts_reasoning,
    ),
    Vendor("baidu v2", {47: "https://qianfan.baidubce.com"}, chat_only("/v2/chat/completions")),
    Vendor(
        "xunfei v2",
        {48: "https://spark-api-open.xf-yun.com"},
        spark_path,
        names_usage=True,
        failure=quirks.spark_failure,
    ),
    Vendor("ali bailian", {49: "https://dashscope.aliyuncs.com"}, bailian_path),
    Vendor("openai compatible", {50: ""}, without_version),
    Vendor(
        "gemini (openai)", {51: "https://generativelanguage.googleapis.com/v1beta/openai/"}, without_version
    ),
)
