"""What a failed answer says and means."""

from typing import Any

import pytest

from oneapi.errors import Failure
from oneapi.providers import failures, openai
from tests.providers.calls import CHANNEL, answer, call_to

# status, body, then message, type, code, param as One API answers them.
GENERIC = ("upstream_error", "bad_response_status_code")


@pytest.mark.parametrize(
    ("body", "message", "kind", "code", "param"),
    [
        ({"error": {"message": "m", "type": "t", "param": None, "code": "c"}}, "m", "t", "c", ""),
        ({"error": {"message": "m", "type": "t", "param": "p", "code": None}}, "m", "t", None, "p"),
        ({"error": {"message": "m"}}, "m", "", None, ""),
        ({"error": {"message": "m", "code": 402}}, "m", "upstream_error", 402, ""),
        ({"error": {"message": "m", "code": {"a": 1}, "param": 5}}, "m", "upstream_error", '{"a":1}', ""),
        ({"error": {"message": "", "type": "t"}}, "bad response status code 500", *GENERIC, "500"),
        ({"error": "a text"}, "a text", *GENERIC, "500"),
        ({"error": "a text", "code": "c"}, "a text", "upstream_error", "c", ""),
        ({"message": "m"}, "m", *GENERIC, "500"),
        ({"message": "m", "type": "t", "code": None}, "m", "t", None, ""),
        ({"code": 20012, "message": "m", "data": None}, "m", "upstream_error", 20012, ""),
        ({"code": 7, "msg": "m"}, "m", *GENERIC, "500"),
        ({"err": "m"}, "m", *GENERIC, "500"),
        ({"error_code": 17, "error_msg": "m"}, "m", *GENERIC, "500"),
        ({"header": {"code": 3, "message": "m"}}, "m", *GENERIC, "500"),
        ({"response": {"error": {"message": "m"}}}, "m", *GENERIC, "500"),
        ({"errors": [{"message": "a"}, {"message": "b"}]}, "a; b", *GENERIC, "500"),
        ({"detail": "m"}, "m", *GENERIC, "500"),
        ({"detail": [{"loc": ["body", "x"], "msg": "m"}, {"msg": "n"}]}, "body.x: m; n", *GENERIC, "500"),
        ([{"error": {"message": "m", "code": 400}}], "m", "upstream_error", 400, ""),
        ("Api key is invalid", "Api key is invalid", *GENERIC, "500"),
        ({}, "bad response status code 500", *GENERIC, "500"),
        ([], "bad response status code 500", *GENERIC, "500"),
        (b"<html>", "bad response status code 500", *GENERIC, "500"),
        (b"", "bad response status code 500", *GENERIC, "500"),
        ({"detail": [[[[[["too deep"]]]]]]}, "bad response status code 500", *GENERIC, "500"),
        (
            {"message": {"detail": {"detail": {"detail": {"detail": {"detail": "x"}}}}}},
            "bad response status code 500",
            *GENERIC,
            "500",
        ),
        (
            {"header": {"message": 5}, "response": {"error": 5}, "msg": 5},
            "bad response status code 500",
            *GENERIC,
            "500",
        ),
    ],
)
def test_the_text_of_an_error_is_found_wherever_it_is(
    body: Any, message: str, kind: str, code: Any, param: str
) -> None:
    error = openai.error(call_to(), answer(body, 500))
    assert (error.message, error.type, error.code, error.param) == (message, kind, code, param)
    assert (error.status, error.upstream_status) == (500, 500)


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        (401, {}, Failure.AUTH),
        (429, {"code": "insufficient_quota"}, Failure.QUOTA),
        (429, {"code": "RateLimitExceeded.EndpointTPMExceeded"}, Failure.RATE),
        (404, {"code": "InvalidEndpointOrModel.NotFound"}, Failure.NOT_FOUND),
        (403, {"type": "permission_error"}, Failure.AUTH),
        (403, {}, Failure.NOT_FOUND),
        (402, {"code": "invalid_request_error", "message": "Insufficient Balance"}, Failure.QUOTA),
        (402, {"code": 402, "message": "pay"}, Failure.QUOTA),
        (400, {"message": "Incorrect API key provided"}, Failure.AUTH),
        (400, {"message": "账户已欠费"}, Failure.QUOTA),
        (400, {"message": "x" * 400 + " incorrect api key"}, Failure.BAD_REQUEST),
        (400, {"code": "content_filter"}, Failure.POLICY),
        (400, {"type": "invalid_request_error"}, Failure.BAD_REQUEST),
        (413, {}, Failure.BAD_REQUEST),
        (422, {}, Failure.BAD_REQUEST),
        (408, {}, Failure.TIMEOUT),
        (429, {}, Failure.RATE),
        (429, {"type": "engine_overloaded_error"}, Failure.OVERLOAD),
        (500, {}, Failure.OVERLOAD),
        (500, {"message": "This model's maximum context length is 4096"}, Failure.BAD_REQUEST),
        (503, {"message": "当前分组 default 下对于模型 x 无可用渠道"}, Failure.NOT_FOUND),
        (504, {}, Failure.TIMEOUT),
        (529, {"type": "overloaded_error"}, Failure.OVERLOAD),
    ],
)
def test_a_failure_has_the_class_that_its_words_and_status_say(
    status: int, error: Any, failure: Failure
) -> None:
    found = openai.error(call_to(), answer({"error": {"message": "m", **error}}, status))
    assert (found.failure, found.status) == (failure, status)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "7", "retry_after_ms": "1500"}, 1.5),
        ({"retry_after": "Wed, 01 Jan 2025 12:00:30 GMT"}, 30.0),
        ({"retry_after": "Wed, 01 Jan 2025 11:00:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-7"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "nan"}, None),
    ],
)
def test_the_pause_that_an_upstream_asks_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert openai.error(call_to(), answer({}, 429, **headers)).retry_after_s == seconds


def test_a_date_is_of_no_use_without_a_clock() -> None:
    reply = answer({}, 429, retry_after="Wed, 01 Jan 2025 12:00:30 GMT")
    assert openai.error(call_to(now=0), reply).retry_after_s is None


def test_a_json_answer_to_a_streamed_request_is_a_failure_whatever_its_status() -> None:
    call = call_to(stream=True)
    odd = {"error": {"message": "m", "type": "mock_error", "code": "mock_code"}}
    assert openai.error(call, answer(odd)).status == 502
    assert openai.error(call, answer({"error": {"message": "m", "type": "server_error"}})).status == 500


def test_an_error_text_never_holds_the_channel_s_key() -> None:
    error = openai.error(call_to(), answer({"error": {"message": f"bad key {CHANNEL.key}!"}}, 401))
    assert error.message == "bad key ***!"


def test_an_error_text_has_a_limit() -> None:
    error = openai.error(call_to(), answer({"error": {"message": "x" * 100_000}}, 400))
    assert len(error.message) == failures.LONGEST_MESSAGE


def test_a_deeply_nested_error_is_read_without_a_failure() -> None:
    body = b'{"detail":' * 500 + b"1" + b"}" * 500
    assert openai.error(call_to(), answer(body, 500)).message == "bad response status code 500"
