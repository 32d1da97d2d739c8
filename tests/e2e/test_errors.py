"""Requests that are wrong as they stand: a clear error in One API's shape, no call to a vendor, no charge."""

import socket

import openai
import orjson
import pytest

from tests.e2e.stage import HELLO, Stage
from tests.support.admin import Answer, fetch
from tests.support.vendor import Vendor

MESSAGES = [{"role": "user", "content": "hi"}]


def assert_error(answer: Answer, status: int, text: str) -> None:
    """One API's envelope: the text ends with the request id that the header names."""
    assert answer.status == status, answer
    assert answer.headers["content-type"].startswith("application/json")
    error = answer.json["error"]
    assert text in error["message"], error
    assert error["message"].endswith(f"(request id: {answer.headers['x-oneapi-request-id']})")
    assert error["type"]


@pytest.mark.parametrize(
    ("key", "text"),
    [("sk-" + "x" * 48, "无效的令牌"), ("", "未提供令牌"), ("sk-", "无效的令牌"), ("sk-é", "无效的令牌")],
    ids=["unknown", "none", "prefix only", "not ASCII"],
)
def test_a_key_that_does_not_work_is_refused(stage: Stage, key: str, text: str) -> None:
    place = stage.channel()
    body = orjson.dumps({"model": stage.model, "messages": MESSAGES})
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = "Bearer " + key
    assert_error(
        fetch(stage.program.url, "POST", "/v1/chat/completions", body=body, headers=headers), 401, text
    )
    assert stage.seen(place) == []


def test_a_model_that_nobody_serves_is_named(stage: Stage) -> None:
    stage.channel()
    answer = stage.post("/v1/chat/completions", {"model": "no-such-model", "messages": MESSAGES})
    assert_error(answer, 503, "当前分组 default 下对于模型 no-such-model 无可用渠道")
    stage.assert_nothing_charged()


def test_the_official_client_understands_an_unknown_model(stage: Stage) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        stage.api.chat.completions.create(model="no-such-model", messages=HELLO)
    assert caught.value.status_code == 503
    assert "no-such-model" in caught.value.message


def test_a_token_without_the_model_may_not_use_it(stage: Stage) -> None:
    place = stage.channel()
    token = stage.admin.add_token(name="m-" + stage.model, models="another-model")
    with stage.client(token.key) as api, pytest.raises(openai.PermissionDeniedError) as caught:
        api.chat.completions.create(model=stage.model, messages=HELLO)
    assert f"该令牌无权使用模型：{stage.model}" in caught.value.message
    assert stage.seen(place) == []


def test_an_exhausted_token_is_refused_before_anything_is_sent(stage: Stage) -> None:
    place = stage.channel(Vendor(usage=(1000, 1000)))
    token = stage.new_token(20_000, "e-" + stage.model)
    body = orjson.dumps({"model": stage.model, "messages": MESSAGES})
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + token.key}

    def ask() -> Answer:
        return fetch(stage.program.url, "POST", "/v1/chat/completions", body=body, headers=headers)

    assert ask().status == 200, "the use that makes it negative succeeds"
    assert stage.admin.token(token.id)["remain_quota"] == 20_000 - 60_000
    assert_error(ask(), 401, "额度已用尽")
    assert_error(ask(), 401, "额度已用尽")
    assert len(stage.seen(place)) == 1
    assert stage.admin.token(token.id)["status"] == 4


def test_a_token_that_cannot_pay_the_estimate_is_refused(stage: Stage) -> None:
    place = stage.channel()
    token = stage.new_token(1000, "p-" + stage.model)
    with stage.client(token.key) as api, pytest.raises(openai.PermissionDeniedError) as caught:
        api.chat.completions.create(model=stage.model, messages=HELLO)
    assert caught.value.status_code == 403
    assert "令牌额度不足" in caught.value.message
    assert stage.seen(place) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model":"m","messages":[',
        b"not json",
        b"[1,2]",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"model":"\xff"}',
        b"[" * 100_000,
    ],
    ids=["nothing", "a brace", "half", "text", "a list", "a string", "bytes", "bad UTF-8", "deep"],
)
def test_a_body_that_is_no_json_object_is_refused(stage: Stage, body: bytes) -> None:
    answer = stage.post("/v1/chat/completions", body)
    assert answer.status == 400
    assert answer.json["error"]["message"]
    stage.assert_nothing_charged()


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": "text"},
        {"messages": 7},
        {"messages": []},
        {"messages": None},
        {"messages": ["text"]},
        {"messages": [{"role": "user", "content": ["text"]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"max_tokens": -1},
        {"max_tokens": "many"},
        {"max_tokens": 1 << 40},
        {"stream": "yes"},
        {"model": 5},
        {"model": ["m"]},
        {"stream": True, "stream_options": "all"},
    ],
    ids=str,
)
def test_fields_of_the_wrong_type_are_refused(stage: Stage, fields: dict[str, object]) -> None:
    place = stage.channel()
    answer = stage.chat(**fields)
    assert answer.status == 400, answer
    assert answer.json["error"]["message"]
    assert stage.seen(place) == []
    stage.assert_nothing_charged()


def test_an_oversized_body_is_refused_before_it_is_sent(stage: Stage) -> None:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {stage.token.key}\r\nContent-Length: {65 << 20}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", stage.program.port), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_path_that_does_not_exist_is_named(stage: Stage) -> None:
    answer = stage.post("/v1/nope", {})
    assert answer.status == 404
    assert "Invalid URL (POST /v1/nope)" in answer.json["error"]["message"]


def test_a_form_without_a_file_is_the_vendors_business(stage: Stage) -> None:
    stage.channel()
    form = f'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n{stage.model}\r\n--b--\r\n'.encode()
    answer = stage.post("/v1/audio/transcriptions", form, Content_Type="multipart/form-data; boundary=b")
    assert answer.status == 200


def test_a_broken_form_is_refused(stage: Stage) -> None:
    answer = stage.post(
        "/v1/audio/transcriptions", b"no form", Content_Type="multipart/form-data; boundary=b"
    )
    assert answer.status == 400
    stage.assert_nothing_charged()
