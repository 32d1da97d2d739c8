"""Tokens: what is stored, and how the next request sees it."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from oneapi.store import DuplicateError, Store
from tests.store.rows import sql


async def test_zeros_become_the_defaults_of_a_new_token(store: Store) -> None:
    token = await store.tokens.insert({"user_id": 1, "key": "k2", "expired_time": 0, "status": 0})
    assert (token.expired_time, token.status, token.remain_quota, token.unlimited_quota) == (-1, 1, 0, False)
    assert (token.models, token.subnet, token.name) == (None, "", "")
    assert store.index.tokens["k2"].user is store.index.users[1]


async def test_an_update_writes_zeros_and_nothing_else(store: Store, path: Path) -> None:
    token = await store.tokens.update(
        1, {"expired_time": 0, "remain_quota": 0, "models": None, "subnet": None}
    )
    assert token is not None
    assert (token.expired_time, token.remain_quota, token.models, token.subnet, token.name) == (
        0,
        0,
        None,
        None,
        "main",
    )
    assert sql(path, "SELECT subnet, status FROM tokens") == [(None, 1)]
    assert await store.tokens.update(99, {"name": "x"}) is None


async def test_requests_see_a_changed_token_at_once(store: Store) -> None:
    entry = store.index.tokens["k1"]
    entry.held = 20
    changes = {
        "status": 2,
        "unlimited_quota": True,
        "remain_quota": 9,
        "models": "b, a,,b",
        "key": "k9",
        "expired_time": 5,
    }
    await store.tokens.update(1, changes)
    assert store.index.tokens == {"k9": entry}
    assert (entry.status, entry.unlimited, entry.remain, entry.expired_time, entry.held) == (
        2,
        True,
        9,
        5,
        20,
    )
    assert (entry.model_list, entry.models, entry.available) == (("b", "a"), frozenset({"a", "b"}), -11)


async def test_a_token_follows_its_user(store: Store) -> None:
    await store.users.update(1, {"group": "vip", "status": 2})
    assert (store.index.tokens["k1"].user.group, store.index.tokens["k1"].user.status) == ("vip", 2)


async def test_a_deleted_token_is_gone_at_once(store: Store) -> None:
    assert await store.tokens.delete(1)
    assert not await store.tokens.delete(1)
    assert (store.index.tokens, store.index.tokens_by_id) == ({}, {})


@pytest.mark.parametrize(
    ("subnet", "networks"),
    [
        ("", ()),
        ("10.0.0.0/8, ::1/128", (ip_network("10.0.0.0/8"), ip_network("::1/128"))),
        ("10.1.2.3/8", (ip_network("10.0.0.0/8"),)),
        ("nonsense,10.0.0.0/8", (ip_network("10.0.0.0/8"),)),
        ("nonsense", ()),
    ],
)
async def test_a_subnet_admits_only_what_it_says(
    store: Store, subnet: str, networks: tuple[object, ...]
) -> None:
    await store.tokens.update(1, {"subnet": subnet})
    entry = store.index.tokens["k1"]
    # A subnet that is set without a valid network admits nobody: ``subnet`` says that there is one.
    assert (entry.networks, entry.subnet) == (networks, subnet)


async def test_an_empty_list_of_models_allows_all_but_a_list_of_nothing_none(store: Store) -> None:
    await store.tokens.update(1, {"models": " "})
    assert store.index.tokens["k1"].models is None
    await store.tokens.update(1, {"models": ","})
    assert store.index.tokens["k1"].models == frozenset()


async def test_pages_are_ordered_as_asked(store: Store) -> None:
    for key, remain, unlimited in [("k2", 900, False), ("k3", 1, True), ("k4", 2, True)]:
        await store.tokens.insert(
            {"user_id": 1, "key": key, "remain_quota": remain, "unlimited_quota": unlimited}
        )
    assert [token.id for token in await store.tokens.page(1, offset=0, limit=10)] == [4, 3, 2, 1]
    assert [token.id for token in await store.tokens.page(1, offset=0, limit=10, order="remain_quota")] == [
        4,
        3,
        2,
        1,
    ]
    await store.tokens.update(2, {"used_quota": 5})
    assert [token.id for token in await store.tokens.page(1, offset=0, limit=1, order="used_quota")] == [2]
    assert await store.tokens.page(2, offset=0, limit=10) == []
    assert await store.tokens.get(1, 2) is None
    assert [token.id for token in await store.tokens.search(1, "ma")] == [1]
    assert [token.id for token in await store.tokens.search(1, "_a")] == []


async def test_a_taken_key_is_refused(store: Store) -> None:
    with pytest.raises(DuplicateError, match=r"tokens\.key"):
        await store.tokens.insert({"user_id": 1, "key": "k1"})
