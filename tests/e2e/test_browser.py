"""What ChatGPT-Next-Web and other pages in a browser need: CORS, billing, their way to stream."""

from tests.e2e.stage import HELLO, Stage, events, text_of
from tests.support.admin import Answer, fetch
from tests.support.vendor import Vendor

PAGE = "https://chat.example"


def ask(stage: Stage, method: str, path: str, **headers: str) -> Answer:
    sent = {"Authorization": "Bearer " + stage.token.key, "Origin": PAGE}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return fetch(stage.program.url, method, path, headers=sent)


def test_a_preflight_request_is_allowed_without_a_token(stage: Stage) -> None:
    headers = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-requested-with",
    }
    answer = fetch(stage.program.url, "OPTIONS", "/v1/chat/completions", headers=headers)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert allowed == "*" or "authorization" in allowed


def test_a_page_may_read_errors_too(stage: Stage) -> None:
    answer = stage.post("/v1/chat/completions", b"{", Origin=PAGE)
    assert answer.status == 400
    assert answer.headers["access-control-allow-origin"] == "*"


def test_the_management_api_is_closed_to_other_pages(stage: Stage) -> None:
    assert "access-control-allow-origin" not in ask(stage, "GET", "/api/status").headers


def test_next_web_streams_a_chat(stage: Stage) -> None:
    place = stage.channel(Vendor(usage=(30, 12)))
    answer = stage.chat(
        stream=True,
        temperature=0.5,
        presence_penalty=0,
        frequency_penalty=0,
        top_p=1,
        Origin=PAGE,
    )
    assert answer.status == 200
    answer = stage.post(
        "/v1/chat/completions",
        {"model": stage.model, "messages": HELLO, "stream": True, "temperature": 0.5, "top_p": 1},
        Accept="application/json, text/event-stream",
        X_Requested_With="XMLHttpRequest",
        Origin=PAGE,
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["access-control-allow-origin"] == "*"
    received = events(answer.body)
    assert received[-1] == "[DONE]"
    assert text_of(received) == "Hello, world"
    assert all(event == "[DONE]" or event["choices"] for event in received)
    assert stage.seen(place)[-1].json["temperature"] == 0.5


def test_next_web_shows_the_balance(stage: Stage) -> None:
    stage.channel(Vendor(usage=(600, 400)))
    assert stage.chat().status == 200
    dates = "start_date=2026-11-01&end_date=2026-11-25"
    for prefix in ("", "/v1"):
        usage = ask(stage, "GET", f"{prefix}/dashboard/billing/usage?{dates}")
        subscription = ask(stage, "GET", f"{prefix}/dashboard/billing/subscription")
        assert usage.json == {"object": "list", "total_usage": 1000 * 30 / 500_000 * 100}
        assert subscription.json["hard_limit_usd"] == stage.limit / 500_000
        assert subscription.json["has_payment_method"] is True
        assert usage.headers["access-control-allow-origin"] == "*"
        assert subscription.headers["access-control-allow-origin"] == "*"


def test_an_unlimited_token_shows_its_use_and_no_limit(stage: Stage) -> None:
    stage.channel(Vendor(usage=(600, 400)))
    token = stage.admin.add_token(name="u-" + stage.model)
    headers = {"Authorization": "Bearer " + token.key}
    assert stage.chat().status == 200
    with stage.client(token.key) as api:
        api.chat.completions.create(model=stage.model, messages=HELLO)
    usage = fetch(stage.program.url, "GET", "/dashboard/billing/usage", headers=headers)
    subscription = fetch(stage.program.url, "GET", "/dashboard/billing/subscription", headers=headers)
    assert usage.json["total_usage"] == 6
    assert subscription.json["hard_limit_usd"] == 100_000_000


def test_billing_needs_a_token(stage: Stage) -> None:
    answer = fetch(stage.program.url, "GET", "/dashboard/billing/usage")
    assert answer.status == 401
