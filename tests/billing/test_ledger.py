import random

import pytest

from oneapi.billing.ledger import Hold, Ledger
from oneapi.errors import InsufficientQuotaError
from oneapi.store import Store
from oneapi.store.records import LOG_CONSUME, Log


def row(quota: int) -> Log:
    return Log(
        id=0,
        user_id=1,
        created_at=100,
        type=LOG_CONSUME,
        content="",
        username="ann",
        token_name="",
        model_name="gpt-4o",
        quota=quota,
        prompt_tokens=0,
        completion_tokens=0,
        channel=1,
        request_id="",
        elapsed_time=0,
        is_stream=False,
        system_prompt_reset=False,
    )


def settle(ledger: Ledger, hold: Hold, quota: int) -> None:
    ledger.settle(hold, quota, channel_id=1, settled_at=100, log=row(quota))


def test_a_hold_reserves_of_user_and_token_at_once(store: Store, ledger: Ledger) -> None:
    token = store.index.tokens["limited"]
    ledger.hold(token, 300)
    assert (token.available, token.user.available, ledger.open_holds) == (200, 700, 1)


@pytest.mark.parametrize(
    ("key", "units", "code"),
    [("limited", 501, "pre_consume_token_quota_failed"), ("open", 1001, "insufficient_user_quota")],
)
def test_the_purse_that_is_short_is_named_and_nothing_is_reserved(
    store: Store, ledger: Ledger, key: str, units: int, code: str
) -> None:
    token = store.index.tokens[key]
    with pytest.raises(InsufficientQuotaError) as caught:
        ledger.hold(token, units)
    assert (caught.value.code, caught.value.status) == (code, 403)
    assert (token.held, token.user.held, ledger.open_holds) == (0, 0, 0)


def test_holds_together_never_exceed_what_is_there(store: Store, ledger: Ledger) -> None:
    token = store.index.tokens["limited"]
    for _ in range(5):
        ledger.hold(token, 100)
    with pytest.raises(InsufficientQuotaError):
        ledger.hold(token, 1)


async def test_a_settlement_is_the_same_in_memory_and_in_the_database(store: Store, ledger: Ledger) -> None:
    for key, quota in (("limited", 120), ("open", 30)):
        settle(ledger, ledger.hold(store.index.tokens[key], 200), quota)
    user = await store.users.get(1)
    limited = await store.tokens.get(1, 1)
    unlimited = await store.tokens.get(2, 1)
    channel = await store.channels.get(1)
    assert user is not None
    assert limited is not None
    assert unlimited is not None
    assert channel is not None
    assert (user.quota, user.used_quota, user.request_count) == (850, 150, 2)
    assert (limited.remain_quota, limited.used_quota) == (380, 120)
    assert (unlimited.remain_quota, unlimited.used_quota) == (0, 30)
    assert channel.used_quota == 150
    memory = store.index.tokens["limited"]
    assert (memory.user.quota, memory.user.held, memory.remain, memory.used, memory.held) == (
        850,
        0,
        380,
        120,
        0,
    )


async def test_a_cancelled_hold_costs_nothing(store: Store, ledger: Ledger) -> None:
    token = store.index.tokens["limited"]
    ledger.cancel(ledger.hold(token, 400))
    assert (token.available, token.user.available, ledger.open_holds) == (500, 1000, 0)
    user = await store.users.get(1)
    assert user is not None
    assert (user.quota, user.request_count) == (1000, 0)


def test_a_hold_ends_only_once(store: Store, ledger: Ledger) -> None:
    hold = ledger.hold(store.index.tokens["limited"], 10)
    settle(ledger, hold, 5)
    with pytest.raises(RuntimeError):
        settle(ledger, hold, 5)
    with pytest.raises(RuntimeError):
        ledger.cancel(hold)
    assert store.index.tokens["limited"].remain == 495


def test_a_cost_beyond_the_hold_is_charged_and_the_next_request_refused(store: Store, ledger: Ledger) -> None:
    token = store.index.tokens["limited"]
    settle(ledger, ledger.hold(token, 10), 600)
    assert token.remain == -100
    with pytest.raises(InsufficientQuotaError):
        ledger.hold(token, 0)


async def test_no_unit_is_lost_in_any_order_of_holds_and_ends(store: Store, ledger: Ledger) -> None:
    order = random.Random(7)
    token = store.index.tokens["limited"]
    await store.users.update(1, {"quota": 1_000_000})
    await store.tokens.update(1, {"remain_quota": 1_000_000})
    holds = [ledger.hold(token, order.randrange(50)) for _ in range(300)]
    order.shuffle(holds)
    spent = 0
    for number, hold in enumerate(holds):
        if number % 3 == 0:
            ledger.cancel(hold)
        else:
            quota = order.randrange(80)
            spent += quota
            settle(ledger, hold, quota)
    user = await store.users.get(1)
    assert user is not None
    assert (user.quota, user.used_quota) == (1_000_000 - spent, spent)
    assert (token.held, token.user.held, ledger.open_holds) == (0, 0, 0)
