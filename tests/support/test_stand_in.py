"""The stand-in vendor does what the tests believe it does."""

import time
from collections.abc import Iterator

import httpx2
import openai
import pytest

from tests.support.admin import fetch
from tests.support.faults import AFTER_CONTENT
from tests.support.upstream import Gate, Upstream
from tests.support.vendor import SPEECH, Vendor


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


def client(base_url: str) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url=base_url + "/v1", max_retries=0, timeout=5)


def test_it_speaks_to_the_official_client(upstream: Upstream) -> None:
    place = upstream.at(Vendor(usage=(5, 3), pieces=["a", "b"]))
    with client(place) as api:
        plain = api.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert plain.choices[0].message.content == "ab"
        streamed = api.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(streamed)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "ab"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens == 8
        assert len(api.embeddings.create(model="m", input=["x", "y"]).data) == 2
        assert api.audio.speech.create(model="m", voice="alloy", input="hi").read() == SPEECH
        said = api.audio.transcriptions.create(model="whisper-9", file=("a.wav", b"RIFF"))
        assert said.text
    assert upstream.requests(place)[-1].model == "whisper-9"


def test_it_journals_when_a_client_leaves(upstream: Upstream) -> None:
    gate = Gate(upstream)
    place = upstream.at(Vendor(each=gate))
    gate.allow(1)
    with client(place) as api:
        stream = api.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        next(iter(stream))
        left = time.monotonic()
        stream.close()
    upstream.wait_for(lambda: upstream.requests(place)[0].cut_at)
    cut = upstream.requests(place)[0].cut_at
    assert cut is not None
    assert cut - left < 1


@pytest.mark.parametrize("fault", AFTER_CONTENT)
def test_a_fault_in_mid_stream_comes_after_two_pieces(upstream: Upstream, fault: str) -> None:
    place = upstream.at(AFTER_CONTENT[fault])
    pieces: list[str | None] = []
    with client(place) as api:
        stream = api.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        with pytest.raises((openai.APIError, httpx2.TransportError)):
            pieces.extend(chunk.choices[0].delta.content for chunk in stream)
    assert pieces == ["one ", "two "]


def test_it_tells_places_apart(upstream: Upstream) -> None:
    first, second = upstream.at(Vendor()), upstream.at(Vendor())
    fetch(first, "GET", second.removeprefix(upstream.url) + "/v1/x")
    assert not upstream.requests(first)
    assert upstream.requests(second)[0].path == "/v1/x"
