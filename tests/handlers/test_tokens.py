"""The management of one's own tokens."""

import re
import time
from typing import Any

import pytest

from oneapi.store.records import STATUS_DISABLED, TOKEN_EXHAUSTED, TOKEN_EXPIRED
from tests.handlers.conftest import Client, Service


@pytest.fixture
async def alice(service: Service) -> Client:
    return await service.log_in_new("alice")


async def create(client: Client, **fields: Any) -> dict[str, Any]:
    token: dict[str, Any] = await client.data("POST", "/api/token/", {"name": "t", **fields})
    return token


async def test_a_token_has_a_key_of_the_known_form_and_works_at_once(service: Service, alice: Client) -> None:
    given = {"id": 77, "user_id": 1, "key": "mine", "status": 2, "used_quota": 5, "created_time": 1}
    token = await create(alice, **given)
    assert re.fullmatch(r"[0-9a-zA-Z]{16}([0-9A-F][0-9a-f]){16}", token["key"])
    assert (token["user_id"], token["status"], token["used_quota"]) == (2, 1, 0)
    assert abs(token["created_time"] - time.time()) < 60
    assert (token["expired_time"], token["models"], token["subnet"]) == (-1, None, "")
    assert service.store.index.tokens[token["key"]].id == token["id"]
    assert len({(await create(alice))["key"] for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "x" * 31}, "参数错误：令牌名称过长"),
        ({"name": "令牌名称令牌名称令牌名"}, "参数错误：令牌名称过长"),
        (
            {"subnet": "10.0.0.0/8,nonsense"},
            "参数错误：无效的网段：failed to parse subnet: invalid CIDR address: nonsense",
        ),
        (
            {"subnet": "10.0.0.1"},
            "参数错误：无效的网段：failed to parse subnet: invalid CIDR address: 10.0.0.1",
        ),
        (
            {"subnet": "300.0.0.0/8"},
            "参数错误：无效的网段：failed to parse subnet: invalid CIDR address: 300.0.0.0/8",
        ),
        (
            {"subnet": "10.0.0.0/255.0.0.0"},
            "参数错误：无效的网段：failed to parse subnet: invalid CIDR address: 10.0.0.0/255.0.0.0",
        ),
    ],
    ids=str,
)
async def test_a_token_that_cannot_be_is_refused_on_creation_and_change(
    alice: Client, fields: dict[str, Any], message: str
) -> None:
    token = await create(alice)
    assert await alice.refusal("POST", "/api/token/", {"name": "t", **fields}) == message
    assert await alice.refusal("PUT", "/api/token/", {"id": token["id"], "name": "t", **fields}) == message
    assert await alice.data("GET", f"/api/token/{token['id']}") == token


async def test_thirty_bytes_and_several_subnets_are_fine(alice: Client) -> None:
    token = await create(alice, name="x" * 30, subnet="10.0.0.0/8, 2001:db8::/32,127.0.0.1/32")
    assert token["subnet"] == "10.0.0.0/8, 2001:db8::/32,127.0.0.1/32"


async def test_a_full_change_writes_zeros_but_keeps_an_expiry_that_it_does_not_name(alice: Client) -> None:
    token = await create(alice, expired_time=4102444800, remain_quota=5, models="a", subnet="10.0.0.0/8")
    changed = await alice.data(
        "PUT", "/api/token/", {"id": token["id"], "name": "new", "status": 2, "key": "x"}
    )
    assert changed == {
        **token,
        "name": "new",
        "remain_quota": 0,
        "unlimited_quota": False,
        "models": None,
        "subnet": None,
    }
    changed = await alice.data("PUT", "/api/token/", {"id": token["id"], "expired_time": 0})
    assert changed["expired_time"] == 0


async def test_a_change_of_the_status_alone_leaves_everything_else(alice: Client) -> None:
    token = await create(alice, remain_quota=5)
    body = {"id": token["id"], "status": 2, "name": "not written", "remain_quota": 1}
    assert await alice.data("PUT", "/api/token/?status_only=true", body) == {**token, "status": 2}
    assert await alice.data("PUT", "/api/token/?status_only=1", {**body, "status": 1}) == token
    renamed = await alice.data("PUT", "/api/token/?status_only=", {**body, "name": "full"})
    assert (renamed["status"], renamed["name"]) == (1, "full")


@pytest.mark.parametrize(
    ("status", "columns", "message"),
    [
        (
            TOKEN_EXPIRED,
            {"expired_time": 1000},
            "令牌已过期，无法启用，请先修改令牌过期时间，或者设置为永不过期",
        ),
        (
            TOKEN_EXHAUSTED,
            {"remain_quota": 0},
            "令牌可用额度已用尽，无法启用，请先修改令牌剩余额度，或者设置为无限额度",
        ),
    ],
    ids=["expired", "exhausted"],
)
async def test_a_token_that_ran_out_is_renewed_and_enabled_in_one_step(
    service: Service, alice: Client, status: int, columns: dict[str, int], message: str
) -> None:
    token = await create(alice, remain_quota=5)
    await service.store.tokens.update(token["id"], {**columns, "status": status})
    enable = {"id": token["id"], "status": 1}
    assert await alice.refusal("PUT", "/api/token/?status_only=true", enable) == message
    spent = {**enable, "name": "t", **columns}
    assert await alice.refusal("PUT", "/api/token/", spent) == message
    renewed = await alice.data("PUT", "/api/token/", {**spent, "expired_time": -1, "remain_quota": 9})
    assert (renewed["status"], renewed["remain_quota"], renewed["expired_time"]) == (1, 9, -1)
    entry = service.store.index.tokens[token["key"]]
    assert (entry.status, entry.remain, entry.expired_time) == (1, 9, -1)


async def test_a_full_change_does_not_enable_what_its_owner_switched_off(
    service: Service, alice: Client
) -> None:
    token = await create(alice)
    await service.store.tokens.update(token["id"], {"status": STATUS_DISABLED})
    changed = await alice.data("PUT", "/api/token/", {**token, "status": 1})
    assert changed["status"] == STATUS_DISABLED


async def test_tokens_of_others_do_not_exist_not_even_for_root(service: Service, alice: Client) -> None:
    token = await create(alice)
    for client in (await service.log_in_new("bob"), await service.root()):
        assert await client.data("GET", "/api/token/") == []
        assert await client.data("GET", "/api/token/search?keyword=t") == []
        path = f"/api/token/{token['id']}"
        assert await client.refusal("GET", path) == "record not found"
        assert await client.refusal("DELETE", path) == "record not found"
        stolen = {"id": token["id"], "name": "stolen", "status": 2}
        assert await client.refusal("PUT", "/api/token/", stolen) == "record not found"
        assert await client.refusal("PUT", "/api/token/?status_only=1", stolen) == "record not found"
    assert await alice.data("GET", f"/api/token/{token['id']}") == token


async def test_a_deleted_token_is_gone_at_once(service: Service, alice: Client) -> None:
    token = await create(alice)
    path = f"/api/token/{token['id']}"
    await alice.data("DELETE", path)
    assert await alice.refusal("DELETE", path) == "record not found"
    assert token["key"] not in service.store.index.tokens
    for nothing in ("abc", "0"):
        assert await alice.refusal("DELETE", f"/api/token/{nothing}") == "id 或 userId 为空！"
    assert await alice.refusal("GET", "/api/token/0") == "id 或 userId 为空！"
    assert await alice.refusal("PUT", "/api/token/", {"name": "x"}) == "id 或 userId 为空！"


async def test_tokens_are_listed_newest_first_or_by_what_they_have(service: Service, alice: Client) -> None:
    for name, remain, unlimited in (("a", 5, False), ("b", 0, True), ("c", 9, False)):
        await create(alice, name=name, remain_quota=remain, unlimited_quota=unlimited)
    await service.store.tokens.update(1, {"used_quota": 3})
    await create(await service.log_in_new("bob"))

    async def names(query: str) -> list[str]:
        return [token["name"] for token in await alice.data("GET", f"/api/token/{query}")]

    assert await names("") == ["c", "b", "a"]
    assert await names("?order=remain_quota") == ["b", "c", "a"]
    assert (await names("?order=used_quota"))[0] == "a"
    assert await names("?order=nonsense") == ["c", "b", "a"]
    assert await names("search?keyword=b") == ["b"]
    assert (await alice.get("/api/token/"))["total"] == 3
