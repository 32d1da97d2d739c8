"""What a vendor is sent: address, headers, body."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from oneapi.errors import ClientError
from oneapi.providers import BY_CHANNEL_TYPE, PROVIDERS, azure, openai, proxy
from oneapi.wire import Mode
from tests.providers.calls import CHANNEL, call_to


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
