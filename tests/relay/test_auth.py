from typing import Any

import pytest

from oneapi import tasks
from oneapi.errors import AuthenticationError, GatewayError, PermissionDeniedError
from oneapi.relay import auth
from oneapi.store import Store

NOW = 1_700_000_000


def authenticate(store: Store, header: str = "Bearer sk-key1", ip: str = "127.0.0.1") -> auth.Caller:
    return auth.authenticate(store, header, ip, NOW)


@pytest.mark.parametrize("header", ["Bearer sk-key1", "Bearer key1", "sk-key1", "key1"])
def test_a_key_is_found_with_and_without_its_prefixes(store: Store, header: str) -> None:
    assert authenticate(store, header).token.name == "token1"


def test_a_suffix_names_a_channel_and_what_follows_is_ignored(store: Store) -> None:
    assert authenticate(store, "Bearer sk-key1-7-x").channel_suffix == "7"


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("", "未提供令牌"),
        ("Bearer ", "无效的令牌"),
        ("bearer sk-key1", "无效的令牌"),
        ("Bearer sk-nope", "无效的令牌"),
    ],
)
def test_a_key_that_is_none_is_refused_with_401(store: Store, header: str, text: str) -> None:
    with pytest.raises(AuthenticationError, match=text) as caught:
        authenticate(store, header)
    assert caught.value.status == 401


@pytest.mark.parametrize(
    ("changes", "first", "then", "status"),
    [
        ({"expired_time": NOW - 1}, "该令牌已过期", "该令牌已过期", 3),
        ({"remain_quota": 0}, "该令牌额度已用尽", "令牌 token1（#1）额度已用尽", 4),
        ({"status": 2}, "该令牌状态不可用", "该令牌状态不可用", 2),
    ],
    ids=["expired", "exhausted", "disabled"],
)
async def test_a_token_that_is_used_up_is_refused_and_marked(
    store: Store, changes: dict[str, Any], first: str, then: str, status: int
) -> None:
    await store.tokens.update(1, changes)
    for text in (first, then):
        with pytest.raises(AuthenticationError, match=text):
            authenticate(store)
    await tasks.drain(5)
    stored = await store.tokens.get(1, 1)
    assert stored is not None
    assert stored.status == status


@pytest.mark.parametrize(
    ("ip", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.1", False),
        ("no address", False),
        ("fe80::1", False),
    ],
)
async def test_a_subnet_lets_only_its_own_addresses_in(store: Store, ip: str, allowed: bool) -> None:
    await store.tokens.update(1, {"subnet": "10.0.0.0/8"})
    if allowed:
        assert authenticate(store, ip=ip).token.name == "token1"
    else:
        with pytest.raises(PermissionDeniedError, match=r"10\.0\.0\.0/8"):
            authenticate(store, ip=ip)


async def test_a_disabled_users_keys_stop_at_once(store: Store) -> None:
    await store.users.update(1, {"status": 2})
    with pytest.raises(PermissionDeniedError, match="用户已被封禁"):
        authenticate(store)


async def test_a_model_list_is_a_fence(store: Store) -> None:
    await store.tokens.update(1, {"models": "gpt-4o,gpt-4o-mini"})
    caller = authenticate(store)
    auth.check_model(caller, "gpt-4o")
    auth.check_model(caller, "")
    with pytest.raises(PermissionDeniedError, match="该令牌无权使用模型：o1"):
        auth.check_model(caller, "o1")


def test_only_administrators_may_name_a_channel(store: Store) -> None:
    auth.check_model(authenticate(store, "sk-key2-1"), "m")
    with pytest.raises(PermissionDeniedError, match="普通用户不支持指定渠道"):
        auth.check_model(authenticate(store, "sk-key1-1"), "m")


def test_a_channel_id_is_a_number() -> None:
    assert auth.pinned_channel_id("12") == 12
    for text in ("", "abc", "1.5", "²"):
        with pytest.raises(GatewayError, match="无效的渠道 Id"):
            auth.pinned_channel_id(text)
