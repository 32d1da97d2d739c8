from typing import Any

from oneapi.relay.unstreamed import chunks_of
from oneapi.wire import Mode

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def answer(**message: Any) -> dict[str, Any]:
    return {
        "id": "x",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


def test_a_whole_chat_becomes_its_text_its_end_and_its_usage() -> None:
    text, end, usage = chunks_of(Mode.CHAT, answer(content="hi", reasoning_content="hm"))
    assert {text["object"], end["object"], usage["object"]} == {"chat.completion.chunk"}
    assert text["choices"][0]["delta"] == {"role": "assistant", "content": "hi", "reasoning_content": "hm"}
    assert text["choices"][0]["finish_reason"] is None
    assert end["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 3


def test_tool_calls_get_the_index_that_clients_merge_them_by() -> None:
    text, *_ = chunks_of(Mode.CHAT, answer(content=None, tool_calls=[CALL, CALL | {"id": "c2"}]))
    assert [call["index"] for call in text["choices"][0]["delta"]["tool_calls"]] == [0, 1]


def test_a_whole_completion_keeps_its_choices() -> None:
    body = {
        "id": "x",
        "object": "text_completion",
        "choices": [{"index": 0, "text": "hi", "finish_reason": "stop"}],
    }
    assert [chunk["choices"][0]["text"] for chunk in chunks_of(Mode.COMPLETIONS, body)] == ["hi"]


def test_an_answer_without_choices_gives_nothing() -> None:
    assert chunks_of(Mode.CHAT, {"choices": None, "usage": {}}) == []
