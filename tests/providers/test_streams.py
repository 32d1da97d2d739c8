"""Streamed answers, chunk by chunk."""

from typing import Any

import pytest

from oneapi.errors import UpstreamError
from oneapi.providers import BY_CHANNEL_TYPE, openai
from oneapi.providers.base import Provider
from oneapi.wire import Event, Mode, Usage
from tests.providers.calls import call_to, delta, streamed


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
