"""The routes under ``/v1`` that answer from memory, and the texts of token authentication."""

import time
from typing import Any

import pytest

from oneapi.handlers.v1 import NOT_IMPLEMENTED
from oneapi.store.records import STATUS_DISABLED, TOKEN_EXHAUSTED, TOKEN_EXPIRED
from tests.handlers.conftest import Client, Service

KEY = "K" * 48


@pytest.fixture
async def bearer(service: Service) -> Client:
    """The bearer of an unlimited token."""
    await service.person("alice", quota=1000)
    await service.store.tokens.insert({"user_id": 2, "key": KEY, "name": "main", "unlimited_quota": True})
    return service.anonymous(Authorization=f"Bearer sk-{KEY}", Origin="https://chat.example")


async def models(client: Client) -> list[str]:
    return [model["id"] for model in (await client.get("/v1/models"))["data"]]


async def test_the_models_are_those_of_the_group_each_once_known_ones_first(
    service: Service, bearer: Client
) -> None:
    await service.store.channels.insert(
        [
            {"key": "k", "models": "zz-own,gpt-4o,a-own,gpt-3.5-turbo"},
            {"key": "k", "models": "gpt-4o,claude-3-haiku-20240307"},
            {"key": "k", "models": "other-group", "group": "vip"},
        ]
    )
    known = ["gpt-3.5-turbo", "gpt-4o", "claude-3-haiku-20240307"]
    assert await models(bearer) == [*known, "a-own", "zz-own"]
    answer = await bearer.ask("GET", "/v1/models/", headers={"Accept-Encoding": "gzip"})
    assert answer.json["object"] == "list"
    assert "content-encoding" not in answer.headers
    assert answer.headers["access-control-allow-origin"] == "*"
    own = answer.json["data"][3]
    assert (own["owned_by"], own["permission"], own["root"]) == ("custom", None, "a-own")


async def test_a_tokens_own_list_decides_what_it_sees(service: Service, bearer: Client) -> None:
    await service.store.tokens.update(1, {"models": "mine,gpt-4o"})
    assert await models(bearer) == ["gpt-4o", "mine"]


async def test_a_known_model_is_described_and_an_unknown_one_is_a_404(bearer: Client) -> None:
    assert (await bearer.get("/v1/models/gpt-4o"))["id"] == "gpt-4o"
    answer = await bearer.ask("GET", "/v1/models/nonsense")
    assert answer.status == 404
    assert answer.json["error"]["message"] == "The model 'nonsense' does not exist"
    assert (await bearer.ask("GET", "/v1/models/a/b")).json["error"][
        "message"
    ] == "Invalid URL (GET /v1/models/a/b)"


@pytest.mark.parametrize(("path", "methods"), NOT_IMPLEMENTED)
async def test_what_openai_has_and_we_do_not_is_a_501_for_a_working_token(
    service: Service, bearer: Client, path: str, methods: tuple[str, ...]
) -> None:
    target = "/v1/" + path.replace("[^/]+", "x-1")
    for method in ("GET", "POST", "DELETE", "PUT"):
        answer = await bearer.ask(method, target)
        assert answer.status == (501 if method in methods else 404), method
    answer = await service.anonymous().ask(methods[0], target)
    assert answer.status == 401


async def test_the_answer_to_what_is_not_implemented_is_one_apis(bearer: Client) -> None:
    for method, path in (("POST", "/v1/files"), ("DELETE", "/v1/models/gpt-4o")):
        answer = await bearer.ask(method, path)
        error = {
            "message": "API not implemented",
            "type": "one_api_error",
            "param": "",
            "code": "api_not_implemented",
        }
        assert (answer.status, answer.json) == (501, {"error": error})


@pytest.mark.parametrize("header", [f"Bearer sk-{KEY}", f"Bearer {KEY}", f"sk-{KEY}", KEY, f"sk-{KEY}-7-x"])
async def test_a_key_works_with_and_without_its_prefixes(
    service: Service, bearer: Client, header: str
) -> None:
    assert (await service.anonymous(Authorization=header).ask("GET", "/v1/models")).status == 200


@pytest.mark.parametrize(
    ("columns", "status", "message"),
    [
        ({"status": TOKEN_EXHAUSTED}, 401, "令牌 main（#1）额度已用尽"),
        ({"status": TOKEN_EXPIRED}, 401, "该令牌已过期"),
        ({"status": STATUS_DISABLED}, 401, "该令牌状态不可用"),
        ({"status": 77}, 401, "该令牌状态不可用"),
        ({"expired_time": 1000}, 401, "该令牌已过期"),
        ({"unlimited_quota": False}, 401, "该令牌额度已用尽"),
        (
            {"subnet": "198.51.100.0/24,2001:db8::/32"},
            403,
            "该令牌只能在指定网段使用：198.51.100.0/24,2001:db8::/32，当前 ip：127.0.0.1",
        ),
    ],
    ids=str,
)
async def test_a_token_that_does_not_work_says_why(
    service: Service, bearer: Client, columns: dict[str, Any], status: int, message: str
) -> None:
    await service.store.tokens.update(1, columns)
    answer = await bearer.ask("GET", "/v1/models")
    rid = answer.headers["x-oneapi-request-id"]
    assert answer.status == status
    assert answer.json["error"]["message"] == f"{message} (request id: {rid})"
    assert answer.json["error"]["type"] == "one_api_error"


async def test_a_token_found_expired_or_empty_is_marked_so(service: Service, bearer: Client) -> None:
    await service.store.tokens.update(1, {"expired_time": int(time.time()) - 10})
    await bearer.ask("GET", "/v1/models")
    await service.store.flush()
    token = await service.store.tokens.get(1, 2)
    assert token is not None
    assert token.status == TOKEN_EXPIRED


async def test_a_token_of_a_banned_user_does_not_work_from_the_next_request_on(
    service: Service, bearer: Client
) -> None:
    assert (await bearer.ask("GET", "/v1/models")).status == 200
    root = await service.root()
    await root.data("POST", "/api/user/manage", {"username": "alice", "action": "disable"})
    answer = await bearer.ask("GET", "/v1/models")
    assert (answer.status, "用户已被封禁" in answer.json["error"]["message"]) == (403, True)
    await root.data("POST", "/api/user/manage", {"username": "alice", "action": "enable"})
    assert (await bearer.ask("GET", "/v1/models")).status == 200


async def test_the_subnet_of_a_token_is_checked_against_the_client_behind_the_proxy(
    service: Service, bearer: Client
) -> None:
    await service.store.tokens.update(1, {"subnet": "198.51.100.0/24"})
    inside = await bearer.ask("GET", "/v1/models", headers={"X-Forwarded-For": "198.51.100.7"})
    assert inside.status == 200


async def test_an_access_token_of_the_management_api_is_no_relay_token(service: Service) -> None:
    answer = await service.anonymous(Authorization="r" * 32).ask("GET", "/v1/models")
    assert answer.status == 401
