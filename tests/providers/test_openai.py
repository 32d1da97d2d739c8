"""OpenAI's protocol: what passes through, what is an answer, and what is a failure in disguise."""

from typing import Any

import orjson
import pytest

from oneapi.errors import Failure, UpstreamError
from oneapi.providers import openai
from oneapi.wire import Mode, UpstreamReply, Usage
from tests.providers.calls import call_to, chat, delta, reply_to, streamed


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
