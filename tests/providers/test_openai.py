"""OpenAI's protocol: what passes through, what is an answer, and what is a failure in disguise."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from oneapi.errors import ClientError, Failure, UpstreamError
from oneapi.providers import BY_CHANNEL_TYPE, PROVIDERS, azure, openai, proxy
from oneapi.providers.base import Provider, Stream
from oneapi.wire import Call, Channel, Event, Mode, Reply, UpstreamReply, Usage

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


# ---- requests


def test_the_client_s_bytes_headers_and_query_go_out_as_they_are() -> None:
    call = call_to(
        query="beta=1&x=a%20b", raw=b'{ "model" : "m" }', accept="application/json", content_type="a/b"
    )
    request = openai.request(call)
    assert request.url == "https://up.example/v1/chat/completions?beta=1&x=a%20b"
    assert request.body == b'{ "model" : "m" }'
    assert request.headers == (
        ("Authorization", "Bearer sk-channel-key-0001"),
        ("Content-Type", "a/b"),
        ("Accept", "application/json"),
    )
    assert "sk-channel" not in repr(request)
    assert openai.asks_usage(call)


def test_an_edited_body_is_written_anew_and_a_stream_says_what_it_accepts() -> None:
    request = openai.request(call_to(raw=None, body={"model": "other"}, stream=True, content_type=""))
    assert request.body == b'{"model":"other"}'
    assert request.headers[1:] == (("Content-Type", "application/json"), ("Accept", "text/event-stream"))


@pytest.mark.parametrize(
    ("channel_type", "base_url", "url"),
    [
        (1, "", "https://api.openai.com/v1/chat/completions"),
        (1, "https://up.example/", "https://up.example/v1/chat/completions"),
        (1, "https://gateway.ai.cloudflare.com/v1/a/g/openai", "/v1/a/g/openai/chat/completions"),
        (8, "https://gateway.ai.cloudflare.com/v1/a/g/openai", "/v1/a/g/openai/v1/chat/completions"),
        (25, "", "https://api.moonshot.cn/v1/chat/completions"),
        (50, "https://up.example/api/paas/v4/", "https://up.example/api/paas/v4/chat/completions"),
    ],
)
def test_the_base_url_and_the_path_make_the_address(channel_type: int, base_url: str, url: str) -> None:
    call = call_to(channel_type, base_url=base_url)
    assert BY_CHANNEL_TYPE[channel_type].request(call).url.endswith(url)


@pytest.mark.parametrize("channel_type", [0, 3, 8, 50])
def test_a_channel_without_an_address_is_refused_before_anything_is_sent(channel_type: int) -> None:
    with pytest.raises(ClientError, match="no base URL"):
        BY_CHANNEL_TYPE[channel_type].request(call_to(channel_type, base_url=""))


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.CHAT])
def test_a_mode_that_a_vendor_does_not_have_is_named(mode: Mode) -> None:
    with pytest.raises(ClientError) as caught:
        BY_CHANNEL_TYPE[27].request(call_to(27, mode))
    number = openai.MODE_NUMBER.get(mode, mode.value)
    assert caught.value.message == f"get request url failed: unsupported relay mode {number} for minimax"
    assert (caught.value.status, caught.value.code) == (500, "do_request_failed")


def test_spark_s_reasoning_model_has_its_own_path() -> None:
    assert BY_CHANNEL_TYPE[48].request(call_to(48, model="x1")).url.endswith("/v2/chat/completions")
    assert BY_CHANNEL_TYPE[48].request(call_to(48, model="lite")).url.endswith("/v1/chat/completions")


@pytest.mark.parametrize(
    ("mode", "model", "url"),
    [
        (
            Mode.CHAT,
            "gpt-3.5-turbo",
            "/openai/deployments/gpt-35-turbo/chat/completions?api-version=2024-10-21",
        ),
        (Mode.SPEECH, "tts-1.5", "/openai/deployments/tts-1.5/audio/speech?api-version=2024-10-21"),
        (
            Mode.TRANSLATION,
            "whisper-1",
            "/openai/deployments/whisper-1/audio/translations?api-version=2024-10-21",
        ),
        (Mode.EMBEDDINGS, "a b/c", "/openai/deployments/a%20b%2Fc/embeddings?api-version=2024-10-21"),
    ],
)
def test_azure_is_asked_at_the_deployment_of_the_model(mode: Mode, model: str, url: str) -> None:
    call = call_to(3, mode, model=model, query="x=1", settings={"api_version": "2024-10-21"})
    request = azure.request(call)
    assert request.url == f"https://up.example{url}"
    assert dict(request.headers)["api-key"] == CHANNEL.key
    assert "Authorization" not in dict(request.headers)


def test_azure_behind_the_ai_gateway_has_no_deployments_prefix() -> None:
    base = "https://gateway.ai.cloudflare.com/v1/a/g/azure-openai/res"
    call = call_to(3, base_url=base, settings={"api_version": "preview"})
    assert azure.url(call) == f"{base}/m/chat/completions?api-version=preview"


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"prompt": "p"}, {"n": 1, "size": "1024x1024", "prompt": "p"}),
        ({"prompt": "p", "n": 2, "size": "1x1"}, {"n": 2, "size": "1x1", "prompt": "p"}),
        (None, None),
    ],
)
def test_azure_gets_an_image_order_in_full(body: Any, sent: Any) -> None:
    request = azure.request(call_to(3, Mode.IMAGES, body=body, raw=b"null"))
    assert orjson.loads(request.body) == sent


@pytest.mark.parametrize(
    ("version", "asks"),
    [
        ("2024-03-01-preview", False),
        ("2024-09-01-preview", True),
        ("2024-10-21", True),
        ("v1", True),
        ("", False),
    ],
)
def test_azure_is_asked_for_usage_by_versions_that_know_it(version: str, asks: bool) -> None:
    assert azure.asks_usage(call_to(3, settings={"api_version": version})) is asks


def test_vendors_that_name_usage_anyway_are_not_asked() -> None:
    silent = {1: True, 20: True, 27: False, 28: False, 48: False, 50: True}
    assert {number: BY_CHANNEL_TYPE[number].asks_usage(call_to(number)) for number in silent} == silent


def test_the_raw_proxy_sends_the_client_s_request_with_the_channel_s_key() -> None:
    headers = (
        ("authorization", "Bearer ours"),
        ("cookie", "session=ours"),
        ("host", "us"),
        ("x-custom", "first"),
        ("x-custom", "second"),
        ("content-type", "text/plain"),
    )
    channel = replace(CHANNEL, type=43, key="Raw key", base_url="https://up.example/vendor/")
    request = proxy.request(channel, "DELETE", "/v9/things?x=1", headers, b"body")
    assert (request.method, request.url) == ("DELETE", "https://up.example/vendor/v9/things?x=1")
    assert request.headers == (
        ("authorization", "Raw key"),
        ("x-custom", "first"),
        ("content-type", "text/plain"),
    )
    assert request.body == b"body"


def test_every_channel_type_belongs_to_one_provider() -> None:
    listed = [number for provider in PROVIDERS for number in provider.channel_types]
    assert len(listed) == len(set(listed)) == len(BY_CHANNEL_TYPE)
    assert len({provider.name for provider in PROVIDERS}) == len(PROVIDERS)


# ---- whole answers


def test_an_answer_passes_byte_for_byte_with_its_end_to_end_headers() -> None:
    body = b'{ "choices": [{"message": {"content": "hi"}}], "unknown": 1e2 }'
    reply = openai.reply(
        call_to(),
        UpstreamReply(
            201,
            (
                ("content-type", "application/json; charset=utf-8"),
                ("content-type", "text/plain"),
                ("content-length", "9"),
                ("set-cookie", "a=b"),
                ("server", "up"),
                ("access-control-allow-origin", "*"),
                ("x-ratelimit-remaining-requests", "7"),
                ("x-twice", "1"),
                ("x-twice", "2"),
            ),
            body,
        ),
    )
    assert (reply.status, reply.body, reply.empty, reply.usage) == (201, body, False, None)
    assert reply.content_type == "application/json; charset=utf-8"
    assert reply.headers == (("x-ratelimit-remaining-requests", "7"), ("x-twice", "1"), ("x-twice", "2"))


def test_an_answer_without_a_content_type_is_taken_for_json() -> None:
    reply = openai.reply(call_to(), UpstreamReply(200, (), orjson.dumps(chat({"content": "hi"}))))
    assert reply.content_type == "application/json"


@pytest.mark.parametrize(
    "message",
    [
        {"content": "hi"},
        {"content": None, "reasoning_content": "hm"},
        {"content": "", "reasoning": "hm"},
        {"content": None, "refusal": "no"},
        {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
        {"content": None, "function_call": {"name": "f"}},
        {"content": None, "audio": {"data": "UklG", "transcript": ""}},
        {"content": None, "audio": {"transcript": "hi"}},
        {"content": "", "images": [{"image_url": {"url": "data:"}}]},
        {"content": [{"type": "text", "text": "hi"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
        {"content": [{"type": "thinking", "thinking": "hm"}]},
        {"content": [{"type": "image_url", "image_url": {"url": "data:"}}]},
    ],
)
def test_a_message_with_anything_in_it_is_an_answer(message: Any) -> None:
    assert not reply_to(chat(message)).empty
    stream = openai.stream(call_to(stream=True))
    assert streamed(stream, delta(**message))[0].text
    assert stream.finish() == []


@pytest.mark.parametrize(
    "message",
    [{"content": ""}, {"content": None}, {}, None, {"content": [], "tool_calls": []}],
)
def test_a_message_with_nothing_in_it_is_empty(message: Any) -> None:
    assert reply_to(chat(message, finish_reason="stop")).empty
    stream = openai.stream(call_to(stream=True))
    streamed(stream, {"choices": [{"delta": message, "finish_reason": "stop"}]})
    with pytest.raises(UpstreamError) as caught:
        stream.finish()
    assert caught.value.failure is Failure.EMPTY


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_that_ended_on_purpose_without_a_word_is_no_failure(reason: str) -> None:
    assert not reply_to(chat({"content": ""}, finish_reason=reason)).empty
    stream = openai.stream(call_to(stream=True))
    streamed(stream, {"choices": [{"delta": {}, "finish_reason": reason}]})
    assert stream.finish() == []


@pytest.mark.parametrize(
    ("mode", "body", "empty"),
    [
        (Mode.CHAT, {"choices": []}, True),
        (Mode.CHAT, {"choices": None}, True),
        (Mode.CHAT, {"choices": [None]}, True),
        (Mode.CHAT, {}, True),
        (Mode.COMPLETIONS, {"choices": [{"text": "hi"}]}, False),
        (Mode.COMPLETIONS, {"choices": [{"text": ""}]}, True),
        (Mode.COMPLETIONS, {"choices": [{"text": None}]}, True),
        (Mode.EMBEDDINGS, {"data": [{}]}, False),
        (Mode.EMBEDDINGS, {"data": []}, True),
        (Mode.MODERATIONS, {"results": []}, True),
        (Mode.IMAGES, {"data": []}, True),
        (Mode.IMAGES, {"data": [{}]}, False),
        (Mode.IMAGE_EDITS, {"images": [{}]}, False),
        (Mode.TRANSCRIPTION, {"text": ""}, False),
    ],
)
def test_every_mode_knows_an_empty_answer(mode: Mode, body: Any, empty: bool) -> None:
    assert reply_to(body, mode).empty is empty


def test_audio_and_subtitles_are_bytes() -> None:
    speech = reply_to(b"ID3\xff", Mode.SPEECH, content_type="audio/mpeg")
    assert (speech.body, speech.data, speech.empty, speech.content_type) == (
        b"ID3\xff",
        None,
        False,
        "audio/mpeg",
    )
    assert reply_to(b"", Mode.SPEECH, content_type="audio/mpeg").empty
    text = reply_to(b"1\n00:00\nhi", Mode.TRANSCRIPTION, content_type="text/plain")
    assert (text.body, text.data) == (b"1\n00:00\nhi", None)
    heard = reply_to({"text": "hi", "usage": {"input_tokens": 9, "output_tokens": 1}}, Mode.TRANSLATION)
    assert heard.usage == Usage(input_uncached=9, output_text=1)


@pytest.mark.parametrize("mode", [Mode.CHAT, Mode.EMBEDDINGS, Mode.SPEECH, Mode.TRANSCRIPTION])
@pytest.mark.parametrize("body", [b"<html>", b'{"choices": [', b"", b'"text"', b"[]", b"[1]"])
def test_a_success_that_cannot_be_read_is_a_failure(mode: Mode, body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        reply_to(body, mode, content_type="text/html" if body == b"<html>" else "application/json")
    error = caught.value
    assert (error.status, error.code, error.type) == (500, "unmarshal_response_body_failed", "one_api_error")
    assert error.failure is Failure.PROTOCOL


@pytest.mark.parametrize(
    ("error", "status", "failure"),
    [
        ({"message": "m", "type": "mock_error", "code": "mock_code"}, 502, Failure.OVERLOAD),
        ({"message": "m"}, 502, Failure.OVERLOAD),
        ({"message": "m", "type": "server_error"}, 500, Failure.OVERLOAD),
        ({"message": "m", "code": "insufficient_quota"}, 429, Failure.QUOTA),
        ({"message": "m", "code": "invalid_api_key"}, 401, Failure.AUTH),
        ({"message": "m", "type": "invalid_request_error"}, 400, Failure.BAD_REQUEST),
        ({"message": "m", "code": 502}, 502, Failure.OVERLOAD),
        ({"message": "m", "code": "429"}, 429, Failure.RATE),
        ({"message": "m", "code": 7}, 502, Failure.OVERLOAD),
        ({"message": "This model's maximum context length is 5"}, 400, Failure.BAD_REQUEST),
        ("just a text", 502, Failure.OVERLOAD),
    ],
)
def test_an_error_inside_a_success_gets_the_status_that_it_means(
    error: Any, status: int, failure: Failure
) -> None:
    with pytest.raises(UpstreamError) as caught:
        reply_to({"error": error})
    assert (caught.value.status, caught.value.failure, caught.value.upstream_status) == (status, failure, 200)


@pytest.mark.parametrize("error", [None, "", {}, {"message": "", "type": "", "code": ""}])
def test_an_empty_error_beside_an_answer_is_none(error: Any) -> None:
    assert not reply_to({**chat({"content": "hi"}), "error": error}).empty
    stream = openai.stream(call_to(stream=True))
    assert len(streamed(stream, {**delta(content="hi"), "error": error})) == 1


def test_a_success_without_choices_but_with_a_message_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="Model does not exist") as caught:
        reply_to({"code": 20012, "message": "Model does not exist.", "data": None})
    assert caught.value.status == 404


def test_an_error_without_a_text_still_says_something() -> None:
    with pytest.raises(UpstreamError, match="without a text"):
        reply_to({"error": {"type": "server_error"}})


def test_google_s_array_of_one_error_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="quota") as caught:
        reply_to(
            [{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}], channel_type=51
        )
    assert caught.value.status == 429


# ---- usage


@pytest.mark.parametrize(
    ("named", "usage"),
    [
        (None, None),
        ([], None),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 50}, None),
        ({"total_tokens": 50}, None),
        ({"prompt_tokens": 7, "completion_tokens": 3}, Usage(input_uncached=7, output_text=3)),
        (
            {"prompt_tokens": 7.0, "completion_tokens": "3", "total_tokens": 10},
            Usage(input_uncached=7, output_text=3),
        ),
        (
            {"prompt_tokens": -7, "completion_tokens": 3, "total_tokens": 9},
            Usage(input_uncached=6, output_text=3),
        ),
        ({"completion_tokens": 3, "total_tokens": 1}, Usage(output_text=3)),
        ({"input_tokens": 7, "output_tokens": 3}, Usage(input_uncached=7, output_text=3)),
        ({"prompt_tokens": 7, "completion_tokens": 3, "cached_tokens": 4}, Usage(3, 4, output_text=3)),
        (
            {"prompt_tokens": 7, "completion_tokens": 3, "prompt_cache_hit_tokens": 9},
            Usage(0, 7, output_text=3),
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {
                    "cached_tokens": 10,
                    "cache_write_tokens": 20,
                    "audio_tokens": 30,
                    "image_tokens": 5,
                },
                "completion_tokens_details": {"reasoning_tokens": 10, "audio_tokens": 20, "image_tokens": 15},
            },
            Usage(
                input_uncached=35,
                cache_read=10,
                cache_write=20,
                input_audio=30,
                input_image=5,
                output_text=5,
                output_reasoning=10,
                output_audio=20,
                output_image=15,
            ),
        ),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 9},
                "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 9},
            },
            Usage(cache_read=3, input_audio=2, output_reasoning=3, output_audio=1),
        ),
        (
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            Usage(input_uncached=32, output_text=9, output_reasoning=94),
        ),
        ({"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": []}, Usage(7, output_text=3)),
    ],
)
def test_usage_is_sorted_into_buckets_that_add_up(named: Any, usage: Usage | None) -> None:
    reply = reply_to({**chat({"content": "hi"}), "usage": named})
    assert reply.usage == usage


def test_the_total_of_an_embedding_is_its_prompt() -> None:
    reply = reply_to({"data": [{}], "usage": {"total_tokens": 50}}, Mode.EMBEDDINGS)
    assert reply.usage == Usage(input_uncached=50)


# ---- streams


def test_chunks_pass_with_the_upstream_s_own_bytes() -> None:
    stream = openai.stream(call_to(stream=True))
    data = b'{ "choices": [ {"index":0,"delta":{"content":"hi"}} ] }'
    [chunk] = stream.feed(Event(data))
    assert chunk.raw is data
    assert (chunk.text, chunk.usage_only) == ("hi", False)


def test_a_chunk_of_several_lines_is_written_anew() -> None:
    stream = openai.stream(call_to(stream=True))
    [chunk] = stream.feed(Event(b'{"choices":\n[{"delta":{"content":"hi"}}]}'))
    assert chunk.raw is None
    assert chunk.data == {"choices": [{"delta": {"content": "hi"}}]}


@pytest.mark.parametrize(
    ("data", "passed"),
    [
        (b"this is no JSON", b"this is no JSON"),
        (b"two\nlines", b"two lines"),
        (b"[1]", b"[1]"),
        (b"", None),
        (b"  ", None),
    ],
)
@pytest.mark.parametrize("mode", [Mode.CHAT, Mode.TRANSCRIPTION])
def test_what_is_no_chunk_passes_as_it_is(mode: Mode, data: bytes, passed: bytes | None) -> None:
    stream = openai.stream(call_to(mode=mode, stream=True))
    chunks = stream.feed(Event(data))
    assert [chunk.raw for chunk in chunks] == ([passed] if passed else [])


@pytest.mark.parametrize("data", [b"[DONE]", b" [DONE] ", b'"[DONE]"'])
def test_the_upstream_s_done_ends_the_stream(data: bytes) -> None:
    stream = openai.stream(call_to(stream=True))
    assert not stream.done
    assert stream.feed(Event(data)) == []
    assert stream.done


def test_odd_choices_are_passed_on_without_a_failure() -> None:
    stream = openai.stream(call_to(stream=True))
    odd = [
        {"choices": [None, {"delta": 5}, {"delta": {"content": 0, "tool_calls": [None, {"function": 7}]}}]}
    ]
    [chunk] = streamed(stream, *odd)
    assert chunk.text == ""
    [chunk] = streamed(stream, delta(content="a", tool_calls="x", refusal=5, reasoning_content=["x"]))
    assert chunk.text == "a"


def test_all_choices_and_all_kinds_of_output_count_as_text() -> None:
    stream = openai.stream(call_to(stream=True))
    call = {"index": 0, "function": {"name": "f", "arguments": "{}"}}
    chunk = {
        "choices": [
            {
                "index": 0,
                "delta": {"content": "a", "reasoning_content": "b", "reasoning": "b", "refusal": "c"},
            },
            {"index": 1, "delta": {"tool_calls": [call], "audio": {"transcript": "d", "data": "UklG"}}},
        ]
    }
    assert streamed(stream, chunk)[0].text == "abcf{}d"


def test_the_last_usage_wins_wherever_it_stands() -> None:
    stream = openai.stream(call_to(stream=True))
    streamed(stream, {**delta(content="a"), "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    assert stream.usage == Usage(input_uncached=1, output_text=1)
    streamed(stream, {**delta(content="a"), "usage": {"prompt_tokens": 0, "completion_tokens": 0}})
    assert stream.usage == Usage(input_uncached=1, output_text=1)
    at_choice = {"delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 2, "completion_tokens": 2}}
    streamed(stream, {"choices": [at_choice]})
    assert stream.usage == Usage(input_uncached=2, output_text=2)
    streamed(stream, {**delta(), "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 3}}})
    assert stream.usage == Usage(input_uncached=3, output_text=3)
    streamed(stream, {**delta(), "x_groq": "odd"})
    [last] = streamed(stream, {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 4}})
    assert last.usage_only
    assert stream.usage == Usage(input_uncached=4, output_text=4)


@pytest.mark.parametrize("chunk", [{"choices": []}, {"choices": None, "usage": None}, {"id": "x"}])
def test_a_chunk_without_choices_reaches_completions_but_no_chat(chunk: Any) -> None:
    assert streamed(openai.stream(call_to(stream=True)), chunk) == []
    [passed] = streamed(openai.stream(call_to(mode=Mode.COMPLETIONS, stream=True)), chunk)
    assert not passed.usage_only


def test_a_completion_streams_its_text() -> None:
    stream = openai.stream(call_to(mode=Mode.COMPLETIONS, stream=True))
    [chunk] = streamed(stream, {"choices": [{"text": "hi", "finish_reason": None}]})
    assert chunk.text == "hi"


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"error": {"message": "m", "type": "server_error"}}, 500),
        ({**delta(content=""), "error": {"code": 502, "message": "Provider disconnected"}}, 502),
        ({"error": {"message": "m"}}, 502),
        ({**delta(), "x_groq": {"error": "m"}}, 502),
    ],
)
def test_an_error_in_a_stream_is_raised(event: Any, status: int) -> None:
    stream = openai.stream(call_to(stream=True))
    with pytest.raises(UpstreamError) as caught:
        streamed(stream, delta(content="a"), event)
    assert caught.value.status == status


def test_a_stream_of_other_events_passes_and_may_fail() -> None:
    stream = openai.stream(call_to(mode=Mode.TRANSCRIPTION, stream=True))
    with pytest.raises(UpstreamError, match="without an answer"):
        stream.finish()
    usage = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
    chunks = streamed(
        stream,
        {"type": "transcript.text.delta", "delta": "hi"},
        b'{"type":\n"x"}',
        {"type": "transcript.text.done", "text": "hi", "usage": usage},
        b"[DONE]",
    )
    assert [chunk.text for chunk in chunks] == ["hi", "", ""]
    assert [chunk.raw is None for chunk in chunks] == [False, True, False]
    assert stream.usage == Usage(input_uncached=9, output_text=2)
    assert stream.done
    assert stream.finish() == []
    with pytest.raises(UpstreamError):
        streamed(stream, {"error": {"message": "m"}})


def test_modules_and_rows_are_providers() -> None:
    provider: Provider = openai_row()
    assert provider.name == "openai"
    assert isinstance(provider.stream(call_to(mode=Mode.SPEECH)), openai.EventStream)


def openai_row() -> Provider:
    return BY_CHANNEL_TYPE[1]
