"""The balance that clients ask for with a relay token."""

from typing import Any

import pytest

from tests.handlers.conftest import Client, Service

PATHS = ("/dashboard/billing/", "/v1/dashboard/billing/")


@pytest.fixture
async def limited(service: Service) -> Client:
    """The bearer of a limited token: 1,500,000 left of 2,000,000; its user has spent 3,000,000."""
    await service.person("alice", quota=7_000_000, used_quota=3_000_000)
    token = await service.store.tokens.insert(
        {"user_id": 2, "key": "L" * 48, "name": "limited", "remain_quota": 1_500_000, "used_quota": 500_000}
    )
    return service.anonymous(Authorization=f"Bearer sk-{token.key}", Origin="https://chat.example")


@pytest.fixture
async def unlimited(service: Service, limited: Client) -> Client:
    """The bearer of a token without a limit, which has spent 250,000."""
    await service.store.tokens.insert(
        {"user_id": 2, "key": "U" * 48, "name": "free", "unlimited_quota": True, "used_quota": 250_000}
    )
    return service.anonymous(Authorization="U" * 48)


def subscription(limit: float, until: int = 0) -> dict[str, Any]:
    return {
        "object": "billing_subscription",
        "has_payment_method": True,
        "soft_limit_usd": limit,
        "hard_limit_usd": limit,
        "system_hard_limit_usd": limit,
        "access_until": until,
    }


@pytest.mark.parametrize("prefix", PATHS)
async def test_a_limited_token_sees_its_own_quota_in_dollars(limited: Client, prefix: str) -> None:
    answer = await limited.ask("GET", f"{prefix}subscription")
    assert answer.json == subscription(4)
    assert b'"hard_limit_usd":4,' in answer.body
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    usage = await limited.ask("GET", f"{prefix}usage?start_date=2024-01-01&end_date=2024-01-02")
    assert usage.json == {"object": "list", "total_usage": 100}
    assert b'"total_usage":100}' in usage.body


async def test_an_unlimited_token_sees_a_large_limit_and_what_it_has_used(unlimited: Client) -> None:
    assert await unlimited.get("/v1/dashboard/billing/subscription") == subscription(100_000_000)
    assert (await unlimited.get("/v1/dashboard/billing/usage"))["total_usage"] == 50


async def test_quota_can_be_shown_in_units_and_for_the_whole_user(
    service: Service, limited: Client, unlimited: Client
) -> None:
    await service.store.options.put("DisplayInCurrencyEnabled", "false")
    assert await limited.get("/dashboard/billing/subscription") == subscription(2_000_000)
    assert (await limited.get("/dashboard/billing/usage"))["total_usage"] == 50_000_000
    await service.store.options.put("DisplayTokenStatEnabled", "false")
    for client in (limited, unlimited):
        assert await client.get("/dashboard/billing/subscription") == subscription(10_000_000)
        assert (await client.get("/dashboard/billing/usage"))["total_usage"] == 300_000_000


async def test_an_expiry_is_shown(service: Service, limited: Client) -> None:
    await service.store.tokens.update(1, {"expired_time": 4102444800})
    assert await limited.get("/dashboard/billing/subscription") == subscription(4, 4102444800)


@pytest.mark.parametrize(
    ("authorization", "message"), [("", "未提供令牌"), ("Bearer sk-nonsense", "无效的令牌")]
)
@pytest.mark.parametrize("path", ["subscription", "usage"])
async def test_a_token_that_does_not_work_is_refused_as_on_relay_routes(
    service: Service, path: str, authorization: str, message: str
) -> None:
    client = service.anonymous(Authorization=authorization)
    answer = await client.ask("GET", f"/v1/dashboard/billing/{path}", headers={"Origin": "https://x.example"})
    assert answer.status == 401
    error = answer.json["error"]
    assert error["message"].startswith(f"{message} (request id: ")
    assert answer.headers["x-oneapi-request-id"] in error["message"]
    assert error["type"] == "one_api_error"
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "path", ["/dashboard/billing/usage", "/v1/dashboard/billing/subscription", "/v1/nope"]
)
async def test_a_page_may_ask_whether_it_may_call_and_never_with_cookies(service: Service, path: str) -> None:
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    answer = await service.anonymous().ask("OPTIONS", path, headers=headers)
    assert (answer.status, answer.body) == (204, b"")
    allowed = {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}
    assert allowed == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET,POST,PUT,DELETE,OPTIONS",
        "access-control-allow-headers": "*",
        "access-control-max-age": "43200",
    }


async def test_other_methods_are_unknown(service: Service) -> None:
    assert (await service.anonymous().ask("POST", "/v1/dashboard/billing/usage")).status == 404
