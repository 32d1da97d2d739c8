"""Users: what is stored, found, and seen by the next request."""

from pathlib import Path

import pytest

from oneapi.store import DuplicateError, Store
from oneapi.store.logs import LogFilter
from oneapi.store.records import LOG_MANAGE, LOG_SYSTEM, LOG_TOPUP
from tests.store.rows import log, sql

ANN = {"username": "ann2", "password": "x", "access_token": "t2", "aff_code": "a2"}


async def test_the_first_start_creates_root_and_his_token(path: Path) -> None:
    store = await Store.open(path)
    assert await store.users.ensure_root(password_hash="hash", access_token="a" * 32, token_key="first")
    assert not await store.users.ensure_root(password_hash="other", access_token="b" * 32, token_key="second")
    await store.close()
    assert sql(path, "SELECT * FROM users") == [
        (
            1,
            "root",
            "hash",
            "Root User",
            100,
            1,
            "",
            "",
            "",
            "",
            "",
            "a" * 32,
            5 * 10**14,
            0,
            0,
            "default",
            "",
            0,
        )
    ]
    assert sql(path, "SELECT * FROM tokens") == [
        (1, 1, "first", 1, "Initial Root Token", 0, 0, -1, 5 * 10**14, 1, 0, None, "")
    ]


async def test_root_gets_no_token_that_nobody_asked_for(path: Path) -> None:
    store = await Store.open(path)
    await store.users.ensure_root(password_hash="hash", access_token="a", token_key="")
    assert (list(store.index.users), store.index.tokens) == ([1], {})
    await store.close()


async def test_zeros_become_the_defaults_of_a_new_user(store: Store) -> None:
    user = await store.users.insert({**ANN, "role": 0, "status": 0, "group": "", "quota": 0})
    assert (user.role, user.status, user.group, user.quota, user.email, user.inviter_id) == (
        1,
        1,
        "default",
        0,
        "",
        0,
    )
    assert store.index.users[user.id].group == "default"


async def test_a_new_user_comes_with_his_log(store: Store) -> None:
    user = await store.users.insert(ANN, logs=(log(type=LOG_SYSTEM, content="gift"),))
    (row,) = await store.logs.page(LogFilter(type=LOG_SYSTEM), offset=0, limit=9)
    assert (row.user_id, row.username, row.content) == (user.id, "ann2", "gift")


@pytest.mark.parametrize("column", ["username", "access_token", "aff_code"])
async def test_a_taken_name_is_refused_and_nothing_is_stored(store: Store, column: str) -> None:
    taken = {"username": "ann", "access_token": "t1", "aff_code": "a1"}[column]
    with pytest.raises(DuplicateError, match=f"^UNIQUE constraint failed: users.{column}$"):
        await store.users.insert({**ANN, column: taken}, logs=(log(),))
    assert await store.logs.page(LogFilter(), offset=0, limit=9) == []
    assert list(store.index.users) == [1]


async def test_only_the_named_columns_change_and_requests_see_it(store: Store) -> None:
    entry = store.index.tokens["k1"].user
    user = await store.users.update(
        1, {"status": 2, "group": "vip", "display_name": ""}, logs=(log(type=LOG_MANAGE),)
    )
    assert user is not None
    assert (user.status, user.group, user.display_name, user.username, user.quota) == (
        2,
        "vip",
        "",
        "ann",
        1000,
    )
    assert (entry.status, entry.group, entry.quota) == (2, "vip", 1000)
    assert [row.username for row in await store.logs.page(LogFilter(), offset=0, limit=9)] == ["ann"]
    assert await store.users.update(99, {"status": 2}) is None


async def test_quota_can_be_set_to_nothing(store: Store, path: Path) -> None:
    await store.users.update(1, {"quota": 0})
    assert store.index.users[1].quota == 0
    assert sql(path, "SELECT quota FROM users") == [(0,)]


async def test_a_top_up_adds_and_is_logged(store: Store, path: Path) -> None:
    await store.users.add_quota(1, 250, log=log(type=LOG_TOPUP, quota=250, content="gift"))
    assert store.index.users[1].quota == 1250
    assert sql(path, "SELECT quota FROM users") == [(1250,)]
    assert sql(path, "SELECT type, quota, username FROM logs") == [(1, 250, "ann")]
    await store.users.add_quota(99, 250, log=None)


async def test_search_takes_the_wildcards_of_sql_literally(store: Store) -> None:
    await store.users.insert({**ANN, "username": "a_b%c", "email": "X@y.z", "display_name": "Zed"})
    assert [user.id for user in await store.users.search("a_")] == [2]
    assert [user.id for user in await store.users.search("%")] == []
    assert [user.id for user in await store.users.search("x@")] == [2]
    assert [user.id for user in await store.users.search("Ze")] == [2]
    assert [user.id for user in await store.users.search("1")] == [1]
    assert [user.id for user in await store.users.search("")] == [1, 2]
    assert [user.id for user in await store.users.search("9" * 40)] == []


async def test_pages_are_ordered_and_leave_deleted_users_out(store: Store) -> None:
    for number in range(3):
        await store.users.insert(
            {
                "username": f"u{number}",
                "password": "x",
                "access_token": f"x{number}",
                "aff_code": f"x{number}",
                "quota": 10 - number,
            }
        )
    await store.users.update(3, {"status": 3})
    assert [user.id for user in await store.users.page(offset=0, limit=10)] == [4, 2, 1]
    assert [user.id for user in await store.users.page(offset=1, limit=1)] == [2]
    assert [user.id for user in await store.users.page(offset=0, limit=10, order="quota")] == [1, 2, 4]
    assert [user.id for user in await store.users.search("u1")] == [3]


async def test_secrets_stay_out_of_texts(store: Store) -> None:
    user = await store.users.get(1)
    assert "t1" not in repr(user)
    assert "k1" not in repr(store.index.tokens["k1"])
    assert "'sk'" not in repr(await store.channels.get(1)) + repr(store.index.channels[1])
