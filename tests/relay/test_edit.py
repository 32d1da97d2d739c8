from typing import Any

import orjson
import pytest

from oneapi.providers import BY_CHANNEL_TYPE
from oneapi.relay import dialect
from oneapi.relay.edit import edited_call
from oneapi.relay.exchange import Inbound
from oneapi.wire import Call, Channel, Mode

CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "unknown": {"deep": [1, None]},
}


def channel(kind: int = 1, **known: Any) -> Channel:
    return Channel(
        1, kind, "c", 1, "k", "http://x", ("m",), ("default",), known.pop("mapping", {}), 0, 0, {}, **known
    )


def edited(body: dict[str, Any], to: Channel, *, enforce_usage: bool = False) -> Call:
    inbound = Inbound(
        mode=Mode.CHAT,
        method="POST",
        path="/v1/chat/completions",
        query="",
        headers={"content-type": "application/json"},
        body=orjson.dumps(body),
        remote_ip="127.0.0.1",
        request_id="1",
        started=0.0,
    )
    demand = dialect.read(inbound)
    call = edited_call(inbound, demand, to, BY_CHANNEL_TYPE[to.type], 0, enforce_usage=enforce_usage)
    assert demand.body == body, "the next attempt starts from what the client sent"
    return call


def test_without_a_reason_to_edit_the_clients_own_bytes_go_out() -> None:
    assert edited(CHAT, channel()).raw == orjson.dumps(CHAT)


def test_a_mapped_model_changes_the_model_and_nothing_else() -> None:
    call = edited(CHAT, channel(mapping={"m": "other"}))
    assert (call.raw, call.model, call.body) == (None, "other", CHAT | {"model": "other"})


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"role": "user", "content": "hi"}], [("system", "Be a pirate."), ("user", "hi")]),
        (
            [{"role": "system", "content": "mine"}, {"role": "user", "content": "hi"}],
            [("system", "Be a pirate."), ("user", "hi")],
        ),
    ],
    ids=["put in front", "takes the first one's place"],
)
def test_a_forced_prompt_is_the_first_message(messages: list[Any], expected: list[tuple[str, str]]) -> None:
    call = edited(CHAT | {"messages": messages}, channel(system_prompt="Be a pirate."))
    assert call.body is not None
    assert [(message["role"], message["content"]) for message in call.body["messages"]] == expected


def test_a_stream_asks_for_its_usage_and_keeps_the_clients_other_options() -> None:
    call = edited(CHAT | {"stream": True, "stream_options": {"chunk_size": 5}}, channel())
    assert call.body is not None
    assert call.body["stream_options"] == {"chunk_size": 5, "include_usage": True}


@pytest.mark.parametrize(("enforce", "asked"), [(False, False), (True, True)])
def test_a_vendor_that_names_its_usage_anyway_is_asked_only_when_the_operator_insists(
    enforce: bool, asked: bool
) -> None:
    call = edited(CHAT | {"stream": True}, channel(28), enforce_usage=enforce)
    assert call.body is not None
    assert ("stream_options" in call.body) is asked
