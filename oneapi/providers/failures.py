"""What an upstream's failure says and means: its text out of many shapes, and its class out of one table."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from oneapi.errors import Failure, UpstreamError
from oneapi.wire import Call, Json, UpstreamReply

# Words of an error's ``code`` or ``type``, in lower case. They say more than a status: OpenAI reports an
# empty account with 429. "invalid_request_error" is not here: vendors give it to almost everything.
WORDS = {
    "invalid_api_key": Failure.AUTH,
    "invalidapikey": Failure.AUTH,
    "account_deactivated": Failure.AUTH,
    "authentication_error": Failure.AUTH,
    "authenticationerror": Failure.AUTH,
    "invalid_authentication_error": Failure.AUTH,
    "incorrect_api_key_error": Failure.AUTH,
    "invalid_iam_token": Failure.AUTH,
    "unauthorized": Failure.AUTH,
    "permission_error": Failure.AUTH,
    "forbidden": Failure.AUTH,
    "insufficient_quota": Failure.QUOTA,
    "insufficient_balance": Failure.QUOTA,
    "insufficient_user_quota": Failure.QUOTA,
    "pre_consume_token_quota_failed": Failure.QUOTA,
    "billing_hard_limit_reached": Failure.QUOTA,
    "billing_not_active": Failure.QUOTA,
    "exceeded_current_quota_error": Failure.QUOTA,
    "accountoverdueerror": Failure.QUOTA,
    "arrearage": Failure.QUOTA,
    "rate_limit_exceeded": Failure.RATE,
    "rate_limit_error": Failure.RATE,
    "rate_limit_reached_error": Failure.RATE,
    "rpm_rate_limit_exceeded": Failure.RATE,
    "tpm_rate_limit_exceeded": Failure.RATE,
    "ratelimitexceeded": Failure.RATE,
    "ratelimitreached": Failure.RATE,
    "too_many_requests": Failure.RATE,
    "throttling": Failure.RATE,
    "resource_exhausted": Failure.RATE,
    "overloaded_error": Failure.OVERLOAD,
    "engine_overloaded": Failure.OVERLOAD,
    "engine_overloaded_error": Failure.OVERLOAD,
    "serveroverloaded": Failure.OVERLOAD,
    "server_error": Failure.OVERLOAD,
    "internal_server_error": Failure.OVERLOAD,
    "internalserviceerror": Failure.OVERLOAD,
    "internal_error": Failure.OVERLOAD,
    "service_unavailable": Failure.OVERLOAD,
    "unavailable": Failure.OVERLOAD,
    "model_not_found": Failure.NOT_FOUND,
    "invalid_model": Failure.NOT_FOUND,
    "not_found_error": Failure.NOT_FOUND,
    "resource_not_found_error": Failure.NOT_FOUND,
    "deploymentnotfound": Failure.NOT_FOUND,
    "notfound": Failure.NOT_FOUND,
    "content_filter": Failure.POLICY,
    "content_policy_violation": Failure.POLICY,
    "responsibleaipolicyviolation": Failure.POLICY,
    "data_inspection_failed": Failure.POLICY,
    "datainspectionfailed": Failure.POLICY,
    "sensitive_words_detected": Failure.POLICY,
    "context_length_exceeded": Failure.BAD_REQUEST,
    "string_above_max_length": Failure.BAD_REQUEST,
}
# Phrases of a message, in lower case; the first that is found decides.
PHRASES = (
    ("maximum context length", Failure.BAD_REQUEST),
    ("content management policy", Failure.POLICY),
    ("credit balance", Failure.QUOTA),
    ("insufficient balance", Failure.QUOTA),
    ("insufficient credits", Failure.QUOTA),
    ("insufficient quota", Failure.QUOTA),
    ("exceeded your current quota", Failure.QUOTA),
    ("quota is not enough", Failure.QUOTA),
    ("欠费", Failure.QUOTA),
    ("余额不足", Failure.QUOTA),
    ("额度不足", Failure.QUOTA),
    ("incorrect api key", Failure.AUTH),
    ("invalid api key", Failure.AUTH),
    ("api key is invalid", Failure.AUTH),
    ("api key not valid", Failure.AUTH),
    ("api key expired", Failure.AUTH),
    ("your access was terminated", Failure.AUTH),
    ("violation of our policies", Failure.AUTH),
    ("organization has been disabled", Failure.AUTH),
    ("organization has been restricted", Failure.AUTH),
    ("permission denied", Failure.AUTH),
    ("model does not exist", Failure.NOT_FOUND),
    ("model not found", Failure.NOT_FOUND),
    ("无可用渠道", Failure.NOT_FOUND),
    ("overloaded", Failure.OVERLOAD),
    ("负载已饱和", Failure.OVERLOAD),
)
# A longer text may quote the client's own words, and those must not get a channel disabled.
LONGEST_VERDICT = 400

STATUSES = {
    401: Failure.AUTH,
    402: Failure.QUOTA,
    # The account works but may not do this (model, region): another account may, and nothing is broken.
    403: Failure.NOT_FOUND,
    404: Failure.NOT_FOUND,
    408: Failure.TIMEOUT,
    429: Failure.RATE,
    504: Failure.TIMEOUT,
}
# The status that a failure inside a 200 should have had.
STATUS_OF = {
    Failure.AUTH: 401,
    Failure.QUOTA: 402,
    Failure.RATE: 429,
    Failure.OVERLOAD: 503,
    Failure.NOT_FOUND: 404,
    Failure.POLICY: 400,
    Failure.BAD_REQUEST: 400,
}
STATUS_OF_WORD = {
    "insufficient_quota": 429,
    "server_error": 500,
    "internal_server_error": 500,
    "internal_error": 500,
    "permission_error": 403,
    "forbidden": 403,
    "invalid_request_error": 400,
}
BAD_GATEWAY = 502  # for a failure that does not say which one it is
LONGEST_MESSAGE = 4000
SHORTEST_SECRET = 12


@dataclass(frozen=True, slots=True)
class Fault:
    """What an upstream says about its failure. ``message`` is "" when it says nothing."""

    message: str
    type: str = "upstream_error"
    code: str | int | None = "bad_response_status_code"
    param: str | None = None


def upstream_error(call: Call, reply: UpstreamReply) -> UpstreamError:
    """The failure that a whole answer reports, in whatever shape its body has."""
    status = reply.status
    fault = fault_of(_parsed(reply.body), status)
    if not fault.message:
        fault = Fault(f"bad response status code {status}", param=str(status))
    if 200 <= status < 300:
        return raised(call, fault, status=in_band_status(fault), upstream_status=status)
    return raised(
        call, fault, status=status, upstream_status=status, retry_after_s=retry_after_s(call, reply)
    )


def in_band_error(call: Call, body: Json) -> UpstreamError:
    """The failure that a JSON object inside a 200, or an event of a stream, reports."""
    fault = fault_of(body, 200)
    if not fault.message:
        fault = replace(fault, message="the upstream reported an error without a text")
    return raised(call, fault, status=in_band_status(fault), upstream_status=200)


def raised(
    call: Call, fault: Fault, *, status: int, upstream_status: int, retry_after_s: float | None = None
) -> UpstreamError:
    """``fault`` as the exception that the relay works with."""
    error = UpstreamError(
        _without_secret(fault.message[:LONGEST_MESSAGE], call.channel.key),
        failure=failure_of(status, fault),
        status=status,
        upstream_status=upstream_status,
        type=fault.type,
        param=fault.param or "",
        retry_after_s=retry_after_s,
    )
    error.code = fault.code  # None is a value here: the vendor's own null
    return error


def not_json(reply: UpstreamReply) -> UpstreamError:
    """A success whose body cannot be read: HTML, half a JSON, nothing."""
    return UpstreamError(
        "the upstream's answer is not JSON",
        failure=Failure.PROTOCOL,
        status=500,
        upstream_status=reply.status,
        type="one_api_error",
        code="unmarshal_response_body_failed",
    )


def no_answer() -> UpstreamError:
    """A stream that ended before it had said anything."""
    return UpstreamError(
        "the upstream ended without an answer", failure=Failure.EMPTY, status=502, upstream_status=200
    )


def reports_error(body: Json) -> bool:
    """Whether a decoded success is none. Some vendors send an empty ``error`` in every answer."""
    error = body.get("error")
    if isinstance(error, dict):
        return bool(error.get("message") or error.get("type") or error.get("code"))
    return bool(error)


def fault_of(body: Any, status: int) -> Fault:
    """The error in a decoded body: ``error.message``, else one of the shapes of other vendors."""
    if isinstance(body, list) and body:  # Google wraps its error in an array
        body = body[0]
    if isinstance(body, str):  # SiliconFlow: "Api key is invalid"
        return Fault(body, param=str(status))
    if not isinstance(body, dict):
        return Fault("")
    error = body.get("error")
    if isinstance(error, dict):
        message = _text(error.get("message"))
        if message:
            return _own(error, message)
    message = _text(body.get("message")) or _text(error)
    if message:
        if body.get("code") is not None or isinstance(body.get("type"), str):
            return _own(body, message)
        return Fault(message, param=str(status))
    return Fault(_odd_text(body), param=str(status))


def failure_of(status: int, fault: Fault) -> Failure:
    """The class of a failure: its words, then its text, then its status."""
    for said in (fault.code, fault.type):
        if isinstance(said, str):
            word = said.lower()
            found = WORDS.get(word) or WORDS.get(word.partition(".")[0]) or WORDS.get(word.rpartition(".")[2])
            if found:
                return found
    if len(fault.message) <= LONGEST_VERDICT:
        text = fault.message.lower()
        for phrase, failure in PHRASES:
            if phrase in text:
                return failure
    if status in STATUSES:
        return STATUSES[status]
    if status >= 500:
        return Failure.OVERLOAD
    return Failure.BAD_REQUEST if status >= 400 else Failure.PROTOCOL


def in_band_status(fault: Fault) -> int:
    """The HTTP status that a failure inside a 200 should have had."""
    code = fault.code
    if str(code).isdecimal() and 400 <= int(str(code)[:4]) <= 599:
        return int(str(code))
    for name in (code, fault.type):
        if isinstance(name, str) and name.lower() in STATUS_OF_WORD:
            return STATUS_OF_WORD[name.lower()]
    return STATUS_OF.get(failure_of(200, fault), BAD_GATEWAY)


def retry_after_s(call: Call, reply: UpstreamReply) -> float | None:
    """How long the upstream asks to be left alone."""
    milliseconds = _number(reply.header("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = reply.header("retry-after")
    seconds = _number(value)
    if seconds is not None or not value or not call.now:
        return seconds
    try:
        moment = datetime.strptime(value, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(moment.timestamp() - call.now, 0.0)


def _own(error: Json, message: str) -> Fault:
    """An error object's own words. One with neither type nor code keeps both empty, as One API does."""
    code = error.get("code")
    if code is not None and type(code) is not int and not isinstance(code, str):
        code = orjson.dumps(code).decode()
    kind = error.get("type")
    if not isinstance(kind, str) or not kind:
        kind = "" if code is None else "upstream_error"
    param = error.get("param")
    return Fault(message, kind, code, param if isinstance(param, str) else None)


def _odd_text(body: Json) -> str:
    """The text of an error at the places where some vendors keep it, "" if there is none."""
    for name in ("msg", "err", "error_msg"):
        if isinstance(body.get(name), str) and body[name]:
            return str(body[name])
    header, response = body.get("header"), body.get("response")
    if isinstance(header, dict) and isinstance(header.get("message"), str) and header["message"]:
        return str(header["message"])
    inner = response.get("error") if isinstance(response, dict) else None
    if isinstance(inner, dict) and isinstance(inner.get("message"), str) and inner["message"]:
        return str(inner["message"])
    return _text(body.get("errors")) or _text(body.get("detail"))


def _text(value: Any, depth: int = 4) -> str:
    """A readable line from a message, a list of them, or FastAPI's ``detail`` entries."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and depth:
        return "; ".join(filter(None, (_text(item, depth - 1) for item in value)))
    if not isinstance(value, dict) or not depth:
        return ""
    if isinstance(value.get("msg"), str):
        place = value.get("loc")
        where = ".".join(map(str, place)) if isinstance(place, list) else ""
        return f"{where}: {value['msg']}" if where else str(value["msg"])
    return _text(value.get("detail"), depth - 1) or _text(value.get("message"), depth - 1)


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _without_secret(message: str, key: str) -> str:
    """Some vendors repeat the key they reject, and the client is not the one it belongs to."""
    return message.replace(key, "***") if len(key) >= SHORTEST_SECRET else message
