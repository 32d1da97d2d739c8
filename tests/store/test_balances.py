"""Memory and database agree about every balance, whatever happens between the asking and the commit."""

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneapi.billing.ledger import Ledger
from oneapi.errors import InsufficientQuotaError
from oneapi.store import DuplicateError, Store
from tests.store.rows import NOW, log, settlement, sql

amounts = st.integers(-2000, 2000)
actions = st.one_of(
    st.tuples(st.just("charge"), st.integers(0, 300)),
    st.tuples(st.just("user balance"), amounts),
    st.tuples(st.just("token balance"), amounts),
    st.tuples(st.just("token used"), st.integers(0, 500)),
    st.tuples(st.just("unlimited"), st.booleans()),
    st.tuples(st.just("top-up"), st.integers(0, 900)),
    st.tuples(st.just("taken name"), amounts),
    st.tuples(st.just("redeem"), st.none()),
    st.tuples(st.just("read"), st.none()),
    st.tuples(st.just("pause"), st.none()),
    st.tuples(st.just("leave"), amounts),
)


def change(store: Store, number: int, kind: str, value: Any) -> Coroutine[Any, Any, Any]:
    match kind:
        case "user balance":
            return store.users.update(1, {"quota": value, "display_name": str(number)})
        case "token balance":
            return store.tokens.update(1, {"remain_quota": value, "name": str(number)})
        case "token used":
            return store.tokens.update(1, {"used_quota": value})
        case "unlimited":
            return store.tokens.update(1, {"unlimited_quota": value})
        case "top-up":
            return store.users.add_quota(1, value, log=None)
        case "taken name":
            return store.users.update(1, {"username": "bob", "quota": value})
        case "redeem":
            return store.redemptions.redeem(f"code{number}", 1, now=NOW, content=str)
    return store.users.get(1)


async def act(store: Store, ledger: Ledger, number: int, action: tuple[str, Any]) -> asyncio.Task[Any] | None:
    kind, value = action
    if kind == "charge":
        with suppress(InsufficientQuotaError):
            hold = ledger.hold(store.index.tokens["k1"], 0)
            ledger.settle(hold, value, channel_id=1, settled_at=NOW, log=log(quota=value))
        return None
    if kind == "pause":
        await asyncio.sleep(0.0005)
        return None
    leaves = kind == "leave"
    task = asyncio.get_running_loop().create_task(
        change(store, number, "user balance" if leaves else kind, value)
    )
    if leaves:
        await asyncio.sleep(0)
        task.cancel()
    return task


async def play(path: Path, script: list[tuple[str, Any]]) -> None:
    store = await Store.open(path)
    for name in ("ann", "bob"):
        await store.users.insert(
            {"username": name, "password": "x", "quota": 1000, "access_token": name, "aff_code": name}
        )
    await store.tokens.insert({"user_id": 1, "key": "k1", "remain_quota": 500})
    await store.channels.insert([{"type": 1, "key": "sk", "models": "m"}])
    await store.redemptions.insert([{"key": f"code{number}", "quota": 50} for number in range(len(script))])
    ledger = Ledger(store)
    started = [await act(store, ledger, number, action) for number, action in enumerate(script)]
    results = await asyncio.gather(*(task for task in started if task), return_exceptions=True)
    assert all(
        isinstance(result, DuplicateError | asyncio.CancelledError)
        for result in results
        if isinstance(result, BaseException)
    )
    await store.flush()
    user, token = store.index.users[1], store.index.tokens["k1"]
    assert sql(path, "SELECT quota FROM users WHERE id = 1") == [(user.quota,)]
    assert sql(path, "SELECT remain_quota, used_quota FROM tokens") == [(token.remain, token.used)]
    assert (user.held, token.held, ledger.open_holds) == (0, 0, 0)
    await store.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(actions, max_size=25))
def test_memory_equals_the_database_under_any_interleaving(script: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder) / "one-api.db", script))


async def test_a_new_balance_holds_at_once_and_charges_in_flight_come_on_top(
    store: Store, path: Path
) -> None:
    ledger = Ledger(store)
    token = store.index.tokens["k1"]
    hold = ledger.hold(token, 100)
    editing = asyncio.get_running_loop().create_task(store.users.update(1, {"quota": 5000}))
    await asyncio.sleep(0)
    assert (token.user.quota, token.user.held) == (5000, 100)
    ledger.settle(hold, 40, channel_id=1, settled_at=NOW, log=None)
    stored = await editing
    assert stored is not None
    assert stored.quota == 5000
    await store.flush()
    assert token.user.quota == 4960
    assert sql(path, "SELECT quota FROM users") == [(4960,)]


async def test_who_stops_waiting_for_a_change_still_finds_it_everywhere(store: Store, path: Path) -> None:
    changing = asyncio.get_running_loop().create_task(
        store.tokens.update(1, {"status": 2, "remain_quota": 3})
    )
    await asyncio.sleep(0)
    changing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await changing
    await store.flush()
    entry = store.index.tokens["k1"]
    assert sql(path, "SELECT status, remain_quota FROM tokens") == [(entry.status, entry.remain)] == [(2, 3)]


async def test_the_id_of_a_deleted_token_is_not_given_again(store: Store, path: Path) -> None:
    assert await store.tokens.delete(1)
    new = await store.tokens.insert({"user_id": 1, "key": "k2", "remain_quota": 500})
    store.settle(settlement(30, token_id=1))  # an exchange that began with the deleted token
    await store.flush()
    assert new.id == 2
    assert sql(path, "SELECT id, remain_quota FROM tokens") == [(2, 500)]


async def test_the_id_of_a_deleted_channel_is_not_given_again_after_a_restart(path: Path) -> None:
    for expected in (1, 2):
        store = await Store.open(path)
        (channel,) = await store.channels.insert([{"type": 1, "key": "sk", "models": "m"}])
        assert channel.id == expected
        store.settle(settlement(5, channel_id=channel.id))
        await store.flush()
        await store.channels.delete(channel.id)
        await store.close()
