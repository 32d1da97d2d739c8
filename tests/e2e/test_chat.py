"""Chat with the official client: what it gets, what the vendor is asked, what is charged."""

from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from tests.e2e.stage import HELLO, Stage, events, mapping, text_of
from tests.support.faults import status
from tests.support.upstream import Gate
from tests.support.vendor import Vendor


def test_a_plain_chat_is_answered_and_charged_by_the_vendors_usage(stage: Stage) -> None:
    place = stage.channel(Vendor(usage=(21, 9)))
    raw = stage.api.chat.completions.with_raw_response.create(model=stage.model, messages=HELLO)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hello, world"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 30
    stage.assert_charged((21, 9), raw.headers["x-oneapi-request-id"], [place])
    assert stage.log()["is_stream"] is False


def test_a_streamed_chat_comes_in_pieces_and_is_charged_alike(stage: Stage) -> None:
    place = stage.channel(Vendor(usage=(21, 9)))
    raw = stage.api.chat.completions.with_raw_response.create(model=stage.model, messages=HELLO, stream=True)
    chunks = list(raw.parse())
    assert text_of(chunks) == "Hello, world"
    assert [c for c in chunks if not c.choices or c.usage] == [], "nobody asked for a usage chunk"
    stage.assert_charged((21, 9), raw.headers["x-oneapi-request-id"], [place])
    assert stage.log()["is_stream"] is True


def test_who_asks_for_the_usage_of_a_stream_gets_it(stage: Stage) -> None:
    stage.channel(Vendor(usage=(21, 9)))
    stream = stage.api.chat.completions.create(
        model=stage.model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *pieces, last = list(stream)
    assert text_of(pieces) == "Hello, world"
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (21, 9)


def test_each_piece_arrives_before_the_next_is_sent(stage: Stage) -> None:
    gate = Gate(stage.upstream)
    stage.channel(Vendor(pieces=["a", "b", "c"], each=gate))
    gate.allow()
    stream = stage.api.chat.completions.create(model=stage.model, messages=HELLO, stream=True)
    got = []
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            got.append(chunk.choices[0].delta.content)
            gate.allow()
    assert got == ["a", "b", "c"]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_a_vendor_that_names_no_usage_is_counted_here(stage: Stage, stream: bool) -> None:
    stage.channel(Vendor(usage=None, pieces=["one two three ", "four five six"]))
    answer = stage.chat(stream=stream)
    assert answer.status == 200
    row = stage.log()
    assert 1 <= row["prompt_tokens"] <= 12
    assert 6 <= row["completion_tokens"] <= 8
    stage.assert_charged(
        (row["prompt_tokens"], row["completion_tokens"]), answer.headers["x-oneapi-request-id"]
    )


def test_fields_that_we_do_not_know_reach_the_vendor(stage: Stage) -> None:
    place = stage.channel()
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    answer = stage.chat(stream=True, tools=tools, brand_new={"deep": [1, None, 0.1]}, temperature=0)
    assert events(answer.body)[-1] == "[DONE]"
    sent = stage.seen(place)[0].json
    assert sent["brand_new"] == {"deep": [1, None, 0.1]}
    assert sent["tools"] == tools
    assert sent["temperature"] == 0
    assert sent["stream_options"]["include_usage"] is True


def test_the_vendor_gets_the_channels_key_and_not_the_clients(stage: Stage) -> None:
    place = stage.channel(key="vendor-secret")
    assert stage.chat().status == 200
    headers = stage.seen(place)[0].headers
    assert headers["authorization"] == "Bearer vendor-secret"
    assert stage.token.key.removeprefix("sk-") not in str(headers)


def test_a_mapped_model_is_asked_for_and_charged_by_its_own_name(stage: Stage) -> None:
    place = stage.channel(model_mapping=mapping(stage.model, "gpt-4o-mini"))
    assert stage.chat().status == 200
    assert stage.seen(place)[0].model == "gpt-4o-mini"
    row = stage.log()
    assert row["model_name"] == "gpt-4o-mini"
    assert row["quota"] == 4  # ceil((13 + 7 x 4) x 0.075)


def test_a_forced_system_prompt_goes_in_front(stage: Stage) -> None:
    place = stage.channel(system_prompt="Answer in rhymes.")
    assert stage.chat().status == 200
    assert stage.seen(place)[0].json["messages"] == [
        {"role": "system", "content": "Answer in rhymes."},
        {"role": "user", "content": "hi"},
    ]
    assert stage.log()["system_prompt_reset"] is True


def test_tool_calls_and_reasoning_pass_through(stage: Stage) -> None:
    message = {
        "role": "assistant",
        "content": None,
        "reasoning_content": "let me think",
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    body = {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": message}], "new": 1}
    stage.channel(
        status(200, {**body, "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})
    )
    answer = stage.chat()
    assert answer.json["choices"][0]["message"] == message
    assert answer.json["new"] == 1


def test_many_clients_at_once_are_all_served_and_charged_once_each(stage: Stage) -> None:
    place = stage.channel(Vendor(usage=(3, 2)))

    def ask(number: int) -> str:
        answer = stage.chat(stream=bool(number % 2))
        assert answer.status == 200
        return answer.headers["x-oneapi-request-id"]

    with ThreadPoolExecutor(10) as pool:
        ids = list(pool.map(ask, range(40)))
    assert len(set(ids)) == 40
    assert stage.spent() == 40 * 5 * 30
    assert stage.admin.channel(place.id)["used_quota"] == 40 * 5 * 30


def test_the_legacy_completions_endpoint_works_streamed_and_plain(stage: Stage) -> None:
    stage.channel()
    plain = stage.api.completions.create(model=stage.model, prompt="Say hello")
    assert plain.choices[0].text == "Hello, world"
    stream = stage.api.completions.create(model=stage.model, prompt="Say hello", stream=True)
    assert "".join(c.choices[0].text for c in stream) == "Hello, world"
    assert [row["is_stream"] for row in stage.logs()] == [True, False]


def test_an_unknown_key_is_refused_in_the_shape_that_the_client_understands(stage: Stage) -> None:
    with stage.client("sk-" + "x" * 48) as stranger, pytest.raises(openai.AuthenticationError) as caught:
        stranger.chat.completions.create(model=stage.model, messages=HELLO)
    assert "无效的令牌" in caught.value.message
