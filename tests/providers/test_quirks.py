"""Where vendors depart from OpenAI: each must look like OpenAI to the client."""

from typing import Any

import orjson
import pytest

from oneapi.errors import Failure, UpstreamError
from oneapi.providers import BY_CHANNEL_TYPE
from oneapi.wire import Event, Mode, Usage
from tests.providers.calls import answer, call_to, chat, delta, reply_to, streamed

MINIMAX, MISTRAL, GROQ, DEEPSEEK, TOGETHER, DOUBAO, SILICONFLOW, XAI, SPARK = (
    27,
    28,
    29,
    36,
    39,
    40,
    44,
    45,
    48,
)


def sent(channel_type: int, body: Any, mode: Mode = Mode.CHAT) -> Any:
    call = call_to(channel_type, mode, body=body, raw=orjson.dumps(body))
    return orjson.loads(BY_CHANNEL_TYPE[channel_type].request(call).body)


def test_mistral_gets_its_own_names_and_nothing_that_it_rejects() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://i.example/a.png", "detail": "low"}}
    body = {
        "messages": [
            {"role": "user", "content": [image, "odd", {"image_url": 5}]},
            {"role": "user", "content": "x"},
        ],
        "seed": 7,
        "max_completion_tokens": 9,
        "stream_options": {"include_usage": True},
        "user": "u",
        "safe_prompt": True,
        "some_new_key": 1,
    }
    assert sent(MISTRAL, body) == {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": "https://i.example/a.png"},
                    "odd",
                    {"image_url": 5},
                ],
            },
            {"role": "user", "content": "x"},
        ],
        "random_seed": 7,
        "max_tokens": 9,
        "safe_prompt": True,
        "some_new_key": 1,
    }


@pytest.mark.parametrize("messages", [5, ["odd"], [{"role": "user", "content": "x"}]])
def test_a_request_that_fits_keeps_the_client_s_bytes(messages: Any) -> None:
    raw = b'{ "messages" : 0 }'
    for channel_type in (MISTRAL, DEEPSEEK):
        call = call_to(channel_type, body={"messages": messages}, raw=raw)
        assert BY_CHANNEL_TYPE[channel_type].request(call).body is raw


def test_mistral_s_other_modes_lose_what_it_rejects_too() -> None:
    assert sent(MISTRAL, {"input": "x", "user": "u", "seed": 1}, Mode.EMBEDDINGS) == {"input": "x"}


def test_a_form_is_never_edited() -> None:
    call = call_to(MISTRAL, Mode.TRANSCRIPTION, body=None, raw=b"--x", content_type="multipart/form-data")
    assert BY_CHANNEL_TYPE[MISTRAL].request(call).body == b"--x"


@pytest.mark.parametrize(
    "thinking", [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}, 5]}, {"thinking": "hm"}]
)
def test_mistral_s_content_parts_become_strings(thinking: Any) -> None:
    content = [thinking, {"type": "text", "text": "hi"}, "odd"]
    reply = reply_to(chat({"role": "assistant", "content": content}), channel_type=MISTRAL)
    assert reply.data is not None
    wanted = {"role": "assistant", "content": "hi", "reasoning_content": "hm"}
    assert reply.data["choices"][0]["message"] == wanted
    assert orjson.loads(reply.body) == reply.data
    [chunk] = streamed(BY_CHANNEL_TYPE[MISTRAL].stream(call_to(MISTRAL)), delta(content=content))
    assert chunk.raw is None
    assert chunk.text == "hihm"


@pytest.mark.parametrize(
    ("channel_type", "reason", "shown"),
    [(MISTRAL, "model_length", "length"), (MISTRAL, "stop", "stop"), (TOGETHER, "eos", "stop")],
)
def test_the_end_of_an_answer_has_openai_s_word(channel_type: int, reason: str, shown: str) -> None:
    reply = reply_to(chat({"content": "hi"}, finish_reason=reason), channel_type=channel_type)
    assert reply.data == chat({"content": "hi"}, finish_reason=shown)
    assert not reply_to({"data": [{}]}, Mode.EMBEDDINGS, channel_type).empty


def test_xai_s_images_are_ordered_without_what_it_rejects() -> None:
    order = {"model": "grok-2-image", "prompt": "a cat", "size": "1x1", "quality": "hd", "n": 2}
    assert sent(XAI, order, Mode.IMAGES) == {"model": "grok-2-image", "prompt": "a cat", "n": 2}
    assert sent(XAI, {"prompt": "a cat"}, Mode.IMAGES) == {"prompt": "a cat"}
    assert sent(XAI, {"messages": [], "size": "1x1"}) == {"messages": [], "size": "1x1"}


def test_mistral_s_text_parts_alone_make_no_reasoning() -> None:
    reply = reply_to(chat({"content": [{"type": "text", "text": "hi"}]}), channel_type=MISTRAL)
    assert reply.data == chat({"content": "hi"})


@pytest.mark.parametrize("channel_type", [20, GROQ])
def test_reasoning_is_found_where_clients_look_for_it(channel_type: int) -> None:
    reply = reply_to(chat({"content": "hi", "reasoning": "hm"}), channel_type=channel_type)
    assert reply.data == chat({"content": "hi", "reasoning": "hm", "reasoning_content": "hm"})
    stream = BY_CHANNEL_TYPE[channel_type].stream(call_to(channel_type))
    [chunk] = streamed(stream, delta(reasoning="hm"))
    assert chunk.data == delta(reasoning="hm", reasoning_content="hm")
    assert (chunk.raw, chunk.text) == (None, "hm")
    [chunk] = streamed(stream, delta(content="hi"))
    assert chunk.raw is not None


def test_deepseek_forgets_the_reasoning_of_finished_turns_only() -> None:
    turn = {"role": "assistant", "content": "a", "reasoning_content": "hm"}
    user, tool = {"role": "user", "content": "q"}, {"role": "tool", "content": "18C"}
    assert sent(DEEPSEEK, {"messages": [user, turn, user, turn, tool], "x": 1}) == {
        "messages": [user, {"role": "assistant", "content": "a"}, user, turn, tool],
        "x": 1,
    }


@pytest.mark.parametrize(
    ("usage", "shown"),
    [
        (
            {"prompt_tokens": 9, "prompt_cache_hit_tokens": 4, "prompt_tokens_details": {"audio_tokens": 0}},
            {"audio_tokens": 0, "cached_tokens": 4},
        ),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}, {"cached_tokens": 4}),
        (
            {"prompt_tokens": 9, "prompt_cache_hit_tokens": 4, "prompt_tokens_details": {"cached_tokens": 4}},
            {"cached_tokens": 4},
        ),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 0}, None),
    ],
)
def test_deepseek_s_cache_hits_have_openai_s_name_too(usage: Any, shown: Any) -> None:
    reply = reply_to(
        {**chat({"content": "hi"}), "usage": {**usage, "completion_tokens": 1}}, channel_type=DEEPSEEK
    )
    assert reply.data is not None
    assert reply.data["usage"].get("prompt_tokens_details") == shown
    assert reply.usage is not None
    assert reply.usage.cache_read == usage["prompt_cache_hit_tokens"]


@pytest.mark.parametrize("channel_type", [DEEPSEEK, XAI, DOUBAO])
def test_an_answer_without_usage_stays_as_it_is(channel_type: int) -> None:
    body = orjson.dumps(chat({"content": "hi"}))
    assert reply_to(body, channel_type=channel_type).body is body


def test_xai_s_completion_includes_its_reasoning() -> None:
    usage = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135}
    stream = BY_CHANNEL_TYPE[XAI].stream(call_to(XAI))
    [chunk] = streamed(stream, {**delta(content="hi"), "usage": usage})
    assert chunk.data["usage"]["completion_tokens"] == 103
    assert stream.usage == Usage(input_uncached=32, output_text=103)
    plain = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 41}
    [chunk] = streamed(stream, {**delta(content="hi"), "usage": plain})
    assert chunk.raw is not None


def test_a_doubao_bot_s_models_are_added_up() -> None:
    used = [{"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}, {"prompt_tokens": 1}, "odd"]
    body = {**chat({"content": "hi"}), "bot_usage": {"model_usage": used}}
    reply = reply_to(body, channel_type=DOUBAO)
    assert reply.usage == Usage(input_uncached=6, output_text=2)
    own = {"prompt_tokens": 50, "completion_tokens": 2, "total_tokens": 52}
    assert reply_to({**body, "usage": own}, channel_type=DOUBAO).usage == Usage(
        input_uncached=50, output_text=2
    )


def test_siliconflow_s_images_are_where_clients_look_for_them() -> None:
    body = {"images": [{"url": "https://i.example/a"}, "odd"], "seed": 1}
    reply = reply_to(body, Mode.IMAGES, SILICONFLOW)
    assert reply.data == {**body, "data": [{"url": "https://i.example/a"}]}
    both = orjson.dumps({**body, "data": [{"url": "https://i.example/b"}]})
    assert reply_to(both, Mode.IMAGES, SILICONFLOW).body is both


@pytest.mark.parametrize(
    ("code", "status", "failure"),
    [
        (1001, 504, Failure.TIMEOUT),
        (1002, 429, Failure.RATE),
        (1004, 401, Failure.AUTH),
        (1008, 402, Failure.QUOTA),
        (1026, 400, Failure.POLICY),
        (2013, 400, Failure.BAD_REQUEST),
        (9999, 500, Failure.OVERLOAD),
    ],
)
def test_minimax_s_failures_inside_a_success_are_failures(code: int, status: int, failure: Failure) -> None:
    for text in ("", "bad luck"):
        body = {"choices": None, "base_resp": {"status_code": code, "status_msg": text}}
        with pytest.raises(UpstreamError) as caught:
            reply_to(body, channel_type=MINIMAX)
        error = caught.value
        assert (error.status, error.failure, error.type, error.code) == (
            status,
            failure,
            "minimax_error",
            code,
        )
        assert error.message == (text or f"MiniMax error {code}")
        with pytest.raises(UpstreamError):
            BY_CHANNEL_TYPE[MINIMAX].stream(call_to(MINIMAX)).feed(Event(orjson.dumps(body)))


@pytest.mark.parametrize("outcome", [{"status_code": 0, "status_msg": ""}, {"status_code": "0"}, None, 5])
def test_minimax_s_success_is_one(outcome: Any) -> None:
    body = {**chat({"content": "hi"}), "base_resp": outcome}
    assert not reply_to(body, channel_type=MINIMAX).empty


USAGE = {"prompt_tokens": 67, "completion_tokens": 3, "total_tokens": 70}
CLOSING = {
    "id": "mm",
    "object": "chat.completion",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}],
    "usage": USAGE,
}


def test_minimax_s_closing_frame_does_not_repeat_the_answer() -> None:
    stream = BY_CHANNEL_TYPE[MINIMAX].stream(call_to(MINIMAX))
    finish = {"choices": [{"index": 0, "delta": {"content": "lo."}, "finish_reason": "stop"}]}
    chunks = streamed(stream, delta(content="Hel"), finish, CLOSING, b"[DONE]")
    assert "".join(chunk.text for chunk in chunks) == "Hello."
    assert chunks[-1].data == {"id": "mm", "object": "chat.completion.chunk", "choices": [], "usage": USAGE}
    assert [chunk.usage_only for chunk in chunks] == [False, False, True]
    assert stream.usage == Usage(input_uncached=67, output_text=3)


def test_minimax_s_closing_frame_finishes_a_stream_that_nothing_has_finished() -> None:
    stream = BY_CHANNEL_TYPE[MINIMAX].stream(call_to(MINIMAX))
    chunks = streamed(stream, delta(content="Hello."), {**CLOSING, "usage": None})
    assert chunks[1].data["choices"] == [{"index": 0, "finish_reason": "stop", "delta": {}}]
    assert len(chunks) == 2


def test_minimax_s_closing_frame_is_the_answer_when_nothing_came_before_it() -> None:
    stream = BY_CHANNEL_TYPE[MINIMAX].stream(call_to(MINIMAX))
    first, last = streamed(stream, CLOSING)
    wanted = {"index": 0, "finish_reason": "stop", "delta": {"role": "assistant", "content": "Hello."}}
    assert first.data["choices"] == [wanted]
    assert (first.text, last.usage_only) == ("Hello.", True)
    assert stream.finish() == []


def test_minimax_s_odd_frames_pass() -> None:
    stream = BY_CHANNEL_TYPE[MINIMAX].stream(call_to(MINIMAX))
    assert [chunk.raw for chunk in streamed(stream, b"odd", {"choices": [None]})] == [
        b"odd",
        b'{"choices":[null]}',
    ]


def test_spark_s_code_decides() -> None:
    body = {"code": 0, "message": "Success", **chat({"content": "hi"})}
    assert not reply_to(body, channel_type=SPARK).empty
    failed = {"code": 11200, "message": "AppIdNoAuthError", "choices": []}
    with pytest.raises(UpstreamError, match="AppIdNoAuthError"):
        BY_CHANNEL_TYPE[SPARK].reply(call_to(SPARK), answer(failed))
