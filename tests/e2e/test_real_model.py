"""A real model answers: llama.cpp on loopback, through us, to the official client."""

from typing import Any

import openai
import pytest

from tests.e2e.stage import HELLO, RATIO, Stage, mapping, text_of
from tests.support.llama import MODEL


@pytest.fixture
def real(stage: Stage, real_model: str) -> Stage:
    stage.model = "real-" + stage.model
    stage.admin.add_channel(
        models=stage.model, base_url=real_model, model_mapping=mapping(stage.model, MODEL)
    )
    return stage


def assert_row(stage: Stage, usage: openai.types.CompletionUsage, request_id: str) -> None:
    row = stage.log()
    assert (row["prompt_tokens"], row["completion_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)
    assert row["quota"] == usage.total_tokens * RATIO
    assert row["request_id"] == request_id
    assert row["model_name"] == MODEL
    assert stage.spent() == row["quota"]
    assert stage.admin.channel(row["channel"])["used_quota"] == row["quota"]


@pytest.mark.timeout(90)
def test_a_real_model_answers_and_its_own_count_is_charged(real: Stage) -> None:
    raw = real.api.chat.completions.with_raw_response.create(
        model=real.model, messages=HELLO, max_tokens=12, temperature=0
    )
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert 1 <= answer.usage.completion_tokens <= 12
    assert_row(real, answer.usage, raw.headers["x-oneapi-request-id"])


@pytest.mark.timeout(90)
def test_a_real_model_streams_the_same_words(real: Stage, real_model: str) -> None:
    question: Any = {"messages": HELLO, "max_tokens": 12, "temperature": 0}
    with openai.OpenAI(api_key="none", base_url=real_model + "/v1", max_retries=0) as direct:
        expected = direct.chat.completions.create(model=MODEL, **question)
    raw = real.api.chat.completions.with_raw_response.create(
        model=real.model, stream=True, stream_options={"include_usage": True}, **question
    )
    chunks = list(raw.parse())
    assert text_of(chunks) == expected.choices[0].message.content
    assert len([c for c in chunks if c.choices]) > 2
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.total_tokens == expected.usage.total_tokens
    assert_row(real, usage, raw.headers["x-oneapi-request-id"])
