"""Vendors that fail: the client gets a clear error or another channel's answer, and pays only what it got."""

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.e2e.stage import HELLO, RATIO, Place, Stage, events, text_of
from tests.support.admin import Answer
from tests.support.faults import (
    AFTER_CONTENT,
    BEFORE_CONTENT,
    BEFORE_CONTENT_STREAMED,
    one_megabyte_line,
    vendor_error,
)
from tests.support.program import free_port
from tests.support.upstream import Upstream
from tests.support.vendor import Vendor

# What the vendor said; One API's 500 for an answer that cannot be read, or is none.
STATUS = {"HTML with 502": 502, "503": 503, "429": 429}
# A stream was asked for, and what came with 200 is no stream or one without an answer: a bad gateway. JSON is
# read as the whole answer of an upstream that cannot stream, so it fails as a whole answer does.
STATUS_STREAMED = dict.fromkeys(("HTML with 200", "an empty stream", "a stream without content"), 502)
PLAIN = [(name, False) for name in BEFORE_CONTENT]
STREAMED = [(name, True) for name in BEFORE_CONTENT | BEFORE_CONTENT_STREAMED]
ALL = BEFORE_CONTENT | BEFORE_CONTENT_STREAMED


def status_of(fault: str, *, stream: bool) -> int:
    """What the client gets for a fault."""
    return STATUS.get(fault) or (STATUS_STREAMED.get(fault, 500) if stream else 500)


def assert_clear(answer: Answer, status: int, stage: Stage, place: Place) -> None:
    """An error that a person understands and that gives nothing away."""
    assert answer.status == status, answer
    assert answer.headers["content-type"].startswith("application/json")
    error = answer.json["error"]
    assert error["message"].endswith(f"(request id: {answer.headers['x-oneapi-request-id']})")
    assert len(error["message"]) > len(f" (request id: {answer.headers['x-oneapi-request-id']})")
    assert set(error) == {"message", "type", "param", "code"}
    for secret in ("upstream-key", "Traceback", place.base_url, "127.0.0.1"):
        assert secret not in answer.body.decode()
    stage.assert_nothing_charged()


def logged(stage: Stage, answer: Answer) -> list[str]:
    """The warnings and errors that name the request. The log is written a moment later, in order."""
    request_id = answer.headers["x-oneapi-request-id"]
    deadline = time.monotonic() + 10
    while f"{request_id} | {answer.status} |" not in stage.program.output:
        assert time.monotonic() < deadline, "no access line"
        time.sleep(0.01)
    lines = [line for line in stage.program.output.splitlines() if request_id in line]
    return [line for line in lines if "[WARN]" in line or "[ERROR]" in line]


@pytest.mark.parametrize(("fault", "stream"), PLAIN + STREAMED, ids=str)
def test_a_fault_before_any_content_is_a_clear_error_and_costs_nothing(
    stage: Stage, fault: str, stream: bool
) -> None:
    place = stage.channel(ALL[fault])
    answer = stage.chat(stream=stream)
    assert_clear(answer, status_of(fault, stream=stream), stage, place)
    assert len(stage.seen(place)) == 1, "each channel at most once"
    assert len(logged(stage, answer)) == 1, logged(stage, answer)


@pytest.mark.parametrize(("fault", "stream"), PLAIN + STREAMED, ids=str)
def test_a_fault_before_any_content_goes_to_the_next_channel(stage: Stage, fault: str, stream: bool) -> None:
    bad = stage.channel(ALL[fault], priority=5)
    good = stage.channel(Vendor(usage=(4, 2)))
    answer = stage.chat(stream=stream)
    assert answer.status == 200
    content = text_of(events(answer.body)) if stream else answer.json["choices"][0]["message"]["content"]
    assert content == "Hello, world"
    assert [len(stage.seen(place)) for place in (bad, good)] == [1, 1]
    stage.assert_charged((4, 2), answer.headers["x-oneapi-request-id"], [good])
    assert stage.admin.channel(bad.id)["used_quota"] == 0


@pytest.mark.parametrize("fault", AFTER_CONTENT)
def test_a_fault_in_mid_stream_ends_with_an_error_and_what_came_is_paid(stage: Stage, fault: str) -> None:
    place = stage.channel(AFTER_CONTENT[fault], priority=5)
    other = stage.channel()
    pieces: list[object] = []
    stream = stage.api.chat.completions.create(model=stage.model, messages=HELLO, stream=True)
    with pytest.raises(openai.APIError) as caught:
        pieces.extend(stream)
    assert text_of(pieces) == "one two "
    assert caught.value.message
    assert stage.seen(other) == [], "no second answer after the first has begun"
    row = stage.log()
    assert 1 <= row["completion_tokens"] <= 4
    assert row["quota"] == (row["prompt_tokens"] + row["completion_tokens"]) * RATIO
    assert stage.admin.channel(place.id)["used_quota"] == row["quota"]


def test_a_stream_that_broke_off_has_no_end_mark(stage: Stage) -> None:
    stage.channel(AFTER_CONTENT["a reset"])
    received = events(stage.chat(stream=True).body)
    assert received[-1] != "[DONE]"
    assert received[-1]["error"]["message"]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_a_megabyte_in_one_line_arrives_whole(stage: Stage, stream: bool) -> None:
    stage.channel(one_megabyte_line)
    answer = stage.chat(stream=stream)
    content = text_of(events(answer.body)) if stream else answer.json["choices"][0]["message"]["content"]
    assert content == "x" * 1_000_000
    stage.assert_charged((13, 7), answer.headers["x-oneapi-request-id"])


@pytest.mark.parametrize("path", ["embeddings", "moderations", "images/generations", "audio/speech"])
@pytest.mark.parametrize("fault", ["nothing at all", "an empty 200", "500", "a body cut short"])
def test_other_modes_fail_as_clearly_as_chat(stage: Stage, fault: str, path: str) -> None:
    place = stage.channel(BEFORE_CONTENT[fault])
    body = {"model": stage.model, "input": "text", "prompt": "text", "voice": "alloy"}
    assert_clear(stage.post("/v1/" + path, body), status_of(fault, stream=False), stage, place)


def test_a_vendor_that_refuses_the_connection_is_a_clear_error(stage: Stage) -> None:
    base_url = f"http://127.0.0.1:{free_port()}/x"
    number = stage.admin.add_channel(models=stage.model, base_url=base_url)
    assert_clear(stage.chat(), 500, stage, Place(number, base_url))


def test_a_host_that_does_not_exist_is_a_clear_error(stage: Stage) -> None:
    base_url = "http://no-such-host.invalid"
    number = stage.admin.add_channel(models=stage.model, base_url=base_url)
    assert_clear(stage.chat(), 500, stage, Place(number, base_url))


def test_https_to_a_server_without_tls_is_a_clear_error(stage: Stage) -> None:
    base_url = stage.upstream.at(Vendor()).replace("http://", "https://")
    number = stage.admin.add_channel(models=stage.model, base_url=base_url)
    assert_clear(stage.chat(), 500, stage, Place(number, base_url))


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[Upstream]:
    """A vendor whose certificate nobody vouches for."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Upstream(tls=context) as running:
        yield running


def test_a_certificate_that_nobody_vouches_for_is_a_clear_error(stage: Stage, self_signed: Upstream) -> None:
    base_url = self_signed.at(Vendor())
    number = stage.admin.add_channel(models=stage.model, base_url=base_url)
    assert_clear(stage.chat(), 500, stage, Place(number, base_url))
    assert self_signed.seen == []


def test_a_vendors_own_words_reach_the_client(stage: Stage) -> None:
    stage.channel(vendor_error(400, "this model has no vision", "invalid_request_error", "unsupported"))
    with pytest.raises(openai.BadRequestError) as caught:
        stage.api.chat.completions.create(model=stage.model, messages=HELLO)
    assert "this model has no vision" in caught.value.message
    assert caught.value.code == "unsupported"
    stage.assert_nothing_charged()


def test_a_bad_request_is_not_tried_elsewhere(stage: Stage) -> None:
    stage.channel(vendor_error(400, "no", "invalid_request_error"), priority=5)
    other = stage.channel()
    assert stage.chat().status == 400
    assert stage.seen(other) == []


def test_every_channel_is_tried_once_and_the_last_error_is_answered(stage: Stage) -> None:
    places = [stage.channel(vendor_error(500, f"broken {n}"), priority=9 - n) for n in range(3)]
    answer = stage.chat()
    assert answer.status == 500
    assert "broken 2" in answer.json["error"]["message"]
    assert [len(stage.seen(place)) for place in places] == [1, 1, 1]
    stage.assert_nothing_charged()


def test_failures_leave_no_quota_reserved(stage: Stage) -> None:
    # The token can carry three estimates at once: a fourth request shows whether the others were given back.
    stage.channel(BEFORE_CONTENT["nothing at all"])
    token = stage.new_token(4 * 500 * RATIO, "h-" + stage.model)
    with stage.client(token.key) as api:
        for number in range(8):
            with pytest.raises(openai.InternalServerError):
                api.chat.completions.create(model=stage.model, messages=HELLO, stream=bool(number % 2))
    assert stage.admin.token(token.id)["remain_quota"] == 4 * 500 * RATIO


def test_failures_leave_no_connection_behind(stage: Stage) -> None:
    for fault in ("garbage instead of HTTP", "half a head", "a body cut short", "a reset after the head"):
        place = stage.channel(BEFORE_CONTENT[fault])
        assert stage.chat().status == 500
        stage.admin.call("DELETE", f"/api/channel/{place.id}")
    stage.upstream.wait_for(lambda: stage.upstream.connections <= 1)


def test_a_dead_client_does_not_kill_the_program(stage: Stage) -> None:
    stage.channel()
    for data in (b"", b"GET", b"\x16\x03\x01\x02", b"POST /v1/chat/completions HTTP/1.1\r\nContent-Len"):
        with socket.create_connection(("127.0.0.1", stage.program.port), timeout=5) as connection:
            connection.sendall(data)
    assert stage.chat().status == 200
