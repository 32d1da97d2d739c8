"""Whatever an upstream sends: an answer, chunks, or an UpstreamError, and never another exception."""

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneapi.errors import UpstreamError
from oneapi.providers import PROVIDERS
from oneapi.providers.base import Provider
from oneapi.wire import Event, Mode
from tests.providers.calls import answer, call_to

NAMES = st.sampled_from(
    [
        "choices",
        "delta",
        "message",
        "content",
        "reasoning",
        "reasoning_content",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "usage",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        "cached_tokens",
        "reasoning_tokens",
        "error",
        "code",
        "type",
        "param",
        "detail",
        "loc",
        "msg",
        "errors",
        "finish_reason",
        "x_groq",
        "base_resp",
        "status_code",
        "status_msg",
        "bot_usage",
        "model_usage",
        "images",
        "url",
        "data",
        "results",
        "text",
        "thinking",
        "audio",
        "function_call",
        "refusal",
        "header",
        "response",
        "messages",
        "image_url",
    ]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "stop", "length", "eos", "a text", "401", "insufficient_quota"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=5)),
    max_leaves=25,
)
MODES = st.sampled_from(
    [Mode.CHAT, Mode.COMPLETIONS, Mode.EMBEDDINGS, Mode.IMAGES, Mode.SPEECH, Mode.TRANSCRIPTION]
)
VENDORS = st.sampled_from(PROVIDERS)
FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FUZZ
@given(provider=VENDORS, body=VALUES, mode=MODES, status=st.sampled_from([200, 400, 401, 429, 500]))
def test_any_answer_is_read_or_refused(provider: Provider, body: Any, mode: Mode, status: int) -> None:
    call = call_to(provider.channel_types[0], mode)
    reply = answer(body, status)
    assert provider.error(call, reply).message
    try:
        passed = provider.reply(call, reply)
    except UpstreamError:
        return
    assert passed.data is None or orjson.loads(passed.body) == passed.data


@FUZZ
@given(provider=VENDORS, bodies=st.lists(VALUES, max_size=3), mode=MODES)
def test_any_event_is_read_or_refused(provider: Provider, bodies: list[Any], mode: Mode) -> None:
    stream = provider.stream(call_to(provider.channel_types[0], mode, stream=True))
    try:
        for body in bodies:
            for chunk in stream.feed(Event(orjson.dumps(body))):
                assert chunk.raw is not None or orjson.dumps(chunk.data)
        stream.finish()
    except UpstreamError:
        pass


@FUZZ
@given(provider=VENDORS, body=st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_body_of_a_client_makes_a_request(provider: Provider, body: dict[str, Any]) -> None:
    before = orjson.dumps(body)
    call = call_to(provider.channel_types[0], body=body, raw=before)
    assert orjson.loads(provider.request(call).body) is not None
    assert orjson.dumps(body) == before
