from typing import Any

import orjson
import pytest

from oneapi.errors import ClientError, Failure, GatewayError, UpstreamError
from oneapi.relay import dialect
from oneapi.relay.exchange import Demand, Inbound
from oneapi.wire import Chunk, Mode


def inbound(mode: Mode, body: bytes, content_type: str = "application/json", path_model: str = "") -> Inbound:
    return Inbound(
        mode=mode,
        method="POST",
        path=f"/v1/{mode.value}",
        query="",
        headers={"content-type": content_type},
        body=body,
        remote_ip="127.0.0.1",
        request_id="1",
        started=0.0,
        path_model=path_model,
    )


def demand(mode: Mode, body: Any) -> Demand:
    return dialect.read(inbound(mode, orjson.dumps(body)))


CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"max_tokens": 0},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "https://x/y.png"}]}]},
        {"unknown": {"deep": [1, None]}},
    ],
)
def test_a_sound_chat_passes(extra: dict[str, Any]) -> None:
    dialect.check(demand(Mode.CHAT, CHAT | extra))


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"messages": []}, "field messages is required"),
        ({"messages": None}, "field messages is required"),
        ({"messages": {"role": "user"}}, "messages must be an array"),
        ({"messages": ["hi"]}, "each message must be an object"),
        ({"messages": [{"content": 5}]}, "string or an array"),
        ({"messages": [{"content": ["hi"]}]}, "each content part must be an object"),
        ({"messages": [{"content": [{"type": "image_url", "image_url": {}}]}]}, "needs a url"),
        ({"max_tokens": -1}, "max_tokens is invalid"),
        ({"max_tokens": 1 << 30}, "max_tokens is invalid"),
        ({"max_tokens": "5"}, "max_tokens must be an integer"),
        ({"max_tokens": True}, "max_tokens must be an integer"),
        ({"stream": "yes"}, "stream must be true or false"),
        ({"n": 1.5}, "n must be an integer"),
        ({"model": ""}, "model is required"),
    ],
)
def test_a_chat_that_cannot_be_served_is_refused_with_its_reason(extra: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError, match=text) as caught:
        dialect.check(demand(Mode.CHAT, CHAT | extra))
    assert (caught.value.status, caught.value.code) == (400, "invalid_text_request")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b'{"model": 5}', b"{" * 5000])
def test_a_body_that_is_no_object_with_a_model_is_refused_with_400(body: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        dialect.read(inbound(Mode.CHAT, body))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("mode", "body", "code"),
    [
        (Mode.COMPLETIONS, {"model": "m", "prompt": ""}, "invalid_text_request"),
        (Mode.MODERATIONS, {"model": "m", "input": ""}, "invalid_text_request"),
        (Mode.EDITS, {"model": "m", "input": "x"}, "invalid_text_request"),
        (Mode.SPEECH, {"model": "m", "input": 5}, "invalid_json"),
        (Mode.SPEECH, {"model": "m", "input": "x" * 4097}, "text_too_long"),
        (Mode.IMAGES, {"model": "m", "prompt": 5}, "invalid_image_request"),
        (Mode.IMAGES, {"model": "m", "prompt": "x", "n": "2"}, "invalid_image_request"),
        (Mode.TRANSCRIPTION, {"model": "m"}, "invalid_multipart"),
    ],
)
def test_each_mode_refuses_what_it_cannot_use(mode: Mode, body: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as caught:
        dialect.check(demand(mode, body))
    assert (caught.value.status, caught.value.code) == (400, code)


@pytest.mark.parametrize(
    ("mode", "model"),
    [
        (Mode.MODERATIONS, "text-moderation-stable"),
        (Mode.IMAGES, "dall-e-2"),
        (Mode.CHAT, ""),
        (Mode.EMBEDDINGS, "from-path"),
    ],
)
def test_an_absent_model_gets_the_default_of_its_mode(mode: Mode, model: str) -> None:
    path_model = "from-path" if mode is Mode.EMBEDDINGS else ""
    assert dialect.read(inbound(mode, b"{}", path_model=path_model)).model == model


def test_json_is_recognised_without_its_content_type() -> None:
    read = dialect.read(inbound(Mode.CHAT, orjson.dumps(CHAT), content_type=""))
    assert (read.model, read.content_type) == ("m", "application/json")


def test_a_form_names_its_model_and_where_it_stands() -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-2\r\n--b--\r\n'
    read = dialect.read(inbound(Mode.TRANSCRIPTION, body, "multipart/form-data; boundary=b"))
    assert read.model == "whisper-2"
    assert read.model_span is not None
    assert body[slice(*read.model_span)] == b"whisper-2"


def test_an_error_tells_the_request_id_and_null_param_as_text() -> None:
    error = GatewayError("broken", status=400, code=None)
    error.param = None
    body = orjson.loads(dialect.error_body(error, "42"))
    assert body == {
        "error": {"message": "broken (request id: 42)", "type": "one_api_error", "param": "", "code": ""}
    }


def test_a_chunk_of_several_lines_stays_one_event() -> None:
    assert dialect.chunk_event(Chunk(None, raw=b"{\n}")) == b"data: {\ndata: }\n\n"
    assert dialect.chunk_event(Chunk({"a": 1})) == b'data: {"a":1}\n\n'


def test_the_pause_that_an_upstream_asked_for_reaches_the_client() -> None:
    busy = UpstreamError("busy", failure=Failure.RATE, status=429, retry_after_s=1.5)
    assert ("Retry-After", "2") in dialect.error_headers(busy)
    assert dict(dialect.error_headers(GatewayError("no"))).keys() == {"Content-Type"}
