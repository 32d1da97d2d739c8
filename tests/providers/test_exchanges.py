"""Replays ``tests/exchanges/<vendor>.json``: what a vendor gets for what a client sent, and what comes back.

No case is written here. A file that is put beside the others is replayed.
"""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from oneapi.errors import UpstreamError
from oneapi.providers import BY_CHANNEL_TYPE
from oneapi.providers.base import Provider
from oneapi.upstream.sse import SSEDecoder
from oneapi.wire import Call, Channel, Chunk, Json, Mode, UpstreamReply

FOLDER = Path(__file__).parent.parent / "exchanges"
LEFT_OUT = {
    ("openai", "responses_bridge"): "the Responses API is no dialect of ours yet",
    ("openai", "responses_bridge_stream"): "the Responses API is no dialect of ours yet",
    ("openai", "responses_bridge_tools_stream"): "the Responses API is no dialect of ours yet",
    ("siliconflow", "rerank"): "there is no rerank route yet",
}
# How a request of each mode can be told from its body; the first that fits.
MODES = (
    ("messages", Mode.CHAT),
    ("multipart", Mode.TRANSCRIPTION),
    ("voice", Mode.SPEECH),
    ("size", Mode.IMAGES),
    ("prompt", Mode.COMPLETIONS),
)


def cases() -> Iterator[tuple[Json, str]]:
    """Every case of every file, with what its file says about the channel."""
    for path in sorted(FOLDER.glob("[!_]*.json")):
        document = orjson.loads(path.read_bytes())
        for name, case in document.items():
            listed = (document["provider"], name) not in LEFT_OUT
            if listed and isinstance(case, dict) and "openai_request" in case:
                yield document, name


def label(value: Any) -> str | None:
    """Cases are named after their vendor and their key."""
    return str(value["provider"]) if isinstance(value, dict) else None


CASES = list(cases())
STREAMS = [case for case in cases() if "upstream_chunks" in case[0][case[1]]]
WHOLE = [case for case in cases() if "upstream_chunks" not in case[0][case[1]]]


def provider_of(document: Json) -> Provider:
    return BY_CHANNEL_TYPE[document["channel_type"]]


def mode_of(case: Json) -> Mode:
    body, url = case["openai_request"], case["upstream_request"]["url"]
    if "input" in body and "voice" not in body:
        return Mode.MODERATIONS if "moderation" in url else Mode.EMBEDDINGS
    return next(mode for field, mode in MODES if field in body)


def call_of(document: Json, name: str) -> Call:
    """The call as the relay would make it: it alone adds ``include_usage``."""
    case, channel = document[name], document["channel"]
    sent = case["openai_request"]
    mode = mode_of(case)
    raw: bytes | None
    if "multipart" in sent:
        body, raw, content_type = None, b"--x\r\n(the client's own form)", "multipart/form-data; boundary=x"
    else:
        body, raw, content_type = dict(sent), orjson.dumps(sent), "application/json"
        if "stream_options" in (case["upstream_request"].get("body") or {}) and "stream_options" not in sent:
            body, raw = {**sent, "stream_options": {"include_usage": True}}, None
    return Call(
        mode=mode,
        channel=Channel(
            id=1,
            type=document["channel_type"],
            name=document["channel_name"],
            status=1,
            key=channel["key"],
            base_url=channel["base_url"],
            models=(),
            groups=(),
            mapping={},
            priority=0,
            weight=0,
            settings=channel["config"],
        ),
        path=f"/v1/{mode.value}",
        query="",
        model=sent.get("model", "whisper-1"),
        body=body,
        raw=raw,
        content_type=content_type,
        stream=bool(sent.get("stream")),
        now=document["clock_unix"],
        id="exchange-1",
    )


def reply_of(case: Json) -> UpstreamReply:
    response = case["upstream_response"]
    body = response["body"]
    if isinstance(body, dict) and set(body) == {"base64"}:
        data = base64.b64decode(body["base64"])
    else:
        data = body.encode() if isinstance(body, str) else orjson.dumps(body)
    headers = tuple((name.lower(), value) for name, value in response["headers"].items())
    return UpstreamReply(response["status"], headers, data)


def chunks_of(document: Json, name: str, size: int) -> tuple[list[Chunk], Any, UpstreamError | None]:
    """What the stream gives when its bytes arrive in pieces of ``size``."""
    case = document[name]
    data = "".join(case["upstream_chunks"]).encode()
    decoder, stream = SSEDecoder(), provider_of(document).stream(call_of(document, name))
    chunks: list[Chunk] = []
    try:
        for at in range(0, len(data), size):
            for event in decoder.feed(data[at : at + size]):
                chunks += stream.feed(event)
        for event in decoder.finish():
            chunks += stream.feed(event)
        chunks += stream.finish()
    except UpstreamError as error:
        return chunks, stream, error
    return chunks, stream, None


def error_object(error: UpstreamError) -> Json:
    return {"message": error.message, "type": error.type, "param": error.param or None, "code": error.code}


def without_empty_param(body: Json) -> Json:
    """The envelope's ``param`` is a text with us, "" for the vendor's null."""
    return {"error": {**body["error"], "param": body["error"].get("param") or None}}


def assert_covers(actual: Any, expected: Any, extra: tuple[str, ...], at: str = "") -> None:
    """``actual`` is ``expected``; the paths of ``extra`` ("*" as a wild card) may be there in addition."""
    if isinstance(expected, dict):
        assert isinstance(actual, dict), at
        assert set(expected) <= set(actual), f"{at}: {set(expected) - set(actual)} missing"
        for key in set(actual) - set(expected):
            assert _allowed(f"{at}.{key}".lstrip("."), extra), f"{at}.{key} is one too many"
        for key, value in expected.items():
            assert_covers(actual[key], value, extra, f"{at}.{key}".lstrip("."))
    elif isinstance(expected, list):
        assert isinstance(actual, list), at
        assert len(actual) == len(expected), at
        for index, value in enumerate(expected):
            assert_covers(actual[index], value, extra, f"{at}.{index}".lstrip("."))
    else:
        assert actual == expected, at


def _allowed(path: str, extra: tuple[str, ...]) -> bool:
    for pattern in extra:
        parts, wanted = path.split("."), pattern.split(".")
        if wanted[-1] == "*":
            parts, wanted = parts[: len(wanted) - 1], wanted[:-1]
        if parts[: len(wanted)] == wanted:
            return True
    return False


def assembled(chunks: list[Json]) -> Json:
    """What a client puts together from the chunks, however they were cut."""
    whole: Json = {"content": "", "finish_reason": None}
    calls: dict[int, Json] = {}
    for chunk in chunks:
        if chunk.get("usage"):
            whole["usage"] = chunk["usage"]
        for choice in chunk["choices"]:
            delta = choice["delta"]
            whole["content"] += delta.get("content") or ""
            if delta.get("reasoning_content"):
                whole["reasoning_content"] = whole.get("reasoning_content", "") + delta["reasoning_content"]
            for piece in delta.get("tool_calls") or ():
                call = calls.setdefault(piece["index"], {"function": {"name": "", "arguments": ""}})
                call.update({key: value for key, value in piece.items() if key in ("id", "type", "index")})
                call["function"]["name"] += piece["function"].get("name", "")
                call["function"]["arguments"] += piece["function"].get("arguments", "")
            whole["finish_reason"] = choice.get("finish_reason") or whole["finish_reason"]
    if calls:
        whole["tool_calls"] = [calls[index] for index in sorted(calls)]
    return whole


def usage_fields(usage: Json) -> tuple[int, int, int, int]:
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return (
        usage["prompt_tokens"],
        usage.get("completion_tokens", 0),
        prompt.get("cached_tokens", 0),
        completion.get("reasoning_tokens", 0),
    )


@pytest.mark.parametrize(("document", "name"), CASES, ids=label)
def test_the_vendor_gets_the_request_it_understands(document: Json, name: str) -> None:
    call, wanted = call_of(document, name), document[name]["upstream_request"]
    before = orjson.dumps(call.body)
    request = provider_of(document).request(call)
    assert (request.method, request.url) == (wanted["method"], wanted["url"])
    headers = {key.lower(): value for key, value in request.headers}
    assert len(headers) == len(request.headers)
    free = {key.lower() for key in wanted.get("headers_free", ())}
    for key, value in wanted["headers"].items():
        assert key.lower() in headers
        assert key.lower() in free or headers[key.lower()] == value
    for key in wanted.get("headers_absent", ()):
        assert key.lower() not in headers
    if "multipart" in document[name]["openai_request"]:
        assert request.body == call.raw
    else:
        assert_covers(orjson.loads(request.body), wanted["body"], tuple(wanted.get("allow_extra", ())))
    assert orjson.dumps(call.body) == before, "the next attempt starts from the client's own object"


@pytest.mark.parametrize(("document", "name"), WHOLE, ids=label)
def test_the_client_gets_the_vendor_s_answer(document: Json, name: str) -> None:
    case, provider, call = document[name], provider_of(document), call_of(document, name)
    reply = reply_of(case)
    if "openai_error" in case:
        if 200 <= reply.status < 300:
            with pytest.raises(UpstreamError) as caught:
                provider.reply(call, reply)
            error = caught.value
        else:
            error = provider.error(call, reply)
        wanted = case["openai_error"]
        assert error.status == wanted["status"]
        assert without_empty_param({"error": error_object(error)}) == without_empty_param(wanted["body"])
        return
    answer = provider.reply(call, reply)
    assert (answer.status, answer.empty) == (reply.status, False)
    assert answer.content_type == reply.header("content-type")
    expected = case["openai_response"]
    if set(expected) == {"base64"}:
        assert answer.body == base64.b64decode(expected["base64"])
        return
    assert_covers(orjson.loads(answer.body), expected, tuple(case.get("allow_extra", ())))
    assert orjson.loads(answer.body) == answer.data
    named = case.get("billing_usage") or expected.get("usage")
    if named:
        assert answer.usage is not None
        billed = (
            answer.usage.prompt_tokens,
            answer.usage.completion_tokens,
            answer.usage.cache_read,
            answer.usage.output_reasoning,
        )
        assert billed == usage_fields(named)


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20], ids=["byte by byte", "ragged", "in pieces", "whole"])
@pytest.mark.parametrize(("document", "name"), STREAMS, ids=label)
def test_a_stream_reaches_the_client_however_it_is_cut(document: Json, name: str, size: int) -> None:
    case = document[name]
    asked = bool((case["openai_request"].get("stream_options") or {}).get("include_usage"))
    chunks, stream, error = chunks_of(document, name, size)
    for chunk in chunks:
        assert chunk.raw is None or orjson.loads(chunk.raw) == chunk.data
    sent = [chunk.data for chunk in chunks if chunk.data is not None and (asked or not chunk.usage_only)]
    expected = [item for item in case["openai_chunks"] if item != "[DONE]"]
    if error is not None:
        assert {"error": error_object(error)} == without_empty_param(expected.pop())
    if case.get("compare") != "assembled only":
        assert sent == expected
    whole = case.get("assembled") or {}
    got = assembled(sent)
    for field, value in whole.items():
        assert_covers(got.get(field), value, ("*",), field)
    named = case.get("billing_usage") or whole.get("usage")
    if named:
        usage = stream.usage
        assert usage is not None
        billed = (usage.prompt_tokens, usage.completion_tokens, usage.cache_read, usage.output_reasoning)
        assert billed == usage_fields(named)
    text = "".join(chunk.text for chunk in chunks)
    assert whole.get("content", "") in text
    assert stream.done or error is not None or "[DONE]" not in "".join(case["upstream_chunks"])


def test_every_case_that_is_left_out_exists() -> None:
    for provider, name in LEFT_OUT:
        assert name in orjson.loads((FOLDER / f"{provider}.json").read_bytes())


URLS = orjson.loads((FOLDER / "_openai_compatible_urls.json").read_bytes())
PATHS = {f"/v1/{mode.value}": mode for mode in Mode}


DEFAULT_BASE = {item["id"]: item["default_base_url"] for item in URLS["channel_types"]}
ADDRESSES = [
    pytest.param(case, own, id=f"{case['name']}-{case['mode']}-{case['base_url'] if own else 'default'}")
    for case in URLS["url_cases"]
    for own in (True, False)
    if own or DEFAULT_BASE[case["channel_type"]] == case["base_url"]
]


@pytest.mark.parametrize(("case", "own_base"), ADDRESSES)
def test_the_vendor_is_asked_at_the_channel_s_address_or_its_own(case: Json, own_base: bool) -> None:
    document = orjson.loads((FOLDER / "openai.json").read_bytes())
    document["channel_type"] = case["channel_type"]
    document["channel"] = {"key": "k", "base_url": case["base_url"] if own_base else "", "config": {}}
    made = call_of(document, "chat")
    call = Call(
        mode=PATHS[case["client_path"]],
        channel=made.channel,
        path=case["client_path"],
        query="",
        model="m",
        body={"model": "m"},
        raw=None,
    )
    provider = BY_CHANNEL_TYPE[case["channel_type"]]
    if case["expected_url"] is None:
        with pytest.raises(Exception, match="unsupported relay mode"):
            provider.request(call)
        return
    request = provider.request(call)
    assert request.url == case["expected_url"]
    assert ("Authorization", "Bearer k") in request.headers


def test_every_type_of_the_family_has_a_provider() -> None:
    family = {item["id"] for item in URLS["channel_types"] if item["api_type"] == 0}
    assert set(BY_CHANNEL_TYPE) >= family
