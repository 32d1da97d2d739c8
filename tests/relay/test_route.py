import collections

import pytest

from oneapi.errors import ClientError, NoChannelError, PermissionDeniedError
from oneapi.relay.route import Cooldowns, Router
from oneapi.store import Store


async def add(store: Store, name: str, **columns: object) -> int:
    channel = {"type": 1, "name": name, "key": "k", "models": "m", "group": "default", **columns}
    (row,) = await store.channels.insert([channel])
    return row.id


@pytest.fixture
def cooldowns() -> Cooldowns:
    return Cooldowns()


@pytest.fixture
def router(store: Store, cooldowns: Cooldowns) -> Router:
    return Router(store.index, cooldowns)


def names(router: Router, now: float = 0.0) -> list[str]:
    return [channel.name for channel in router.candidates("default", "m", now)]


async def test_priorities_come_in_order_and_each_channel_once(store: Store, router: Router) -> None:
    for name, priority in (("low", -5), ("high", 10), ("middle", 0)):
        await add(store, name, priority=priority)
    assert names(router) == ["high", "middle", "low"]


async def test_equals_share_by_weight_and_weight_0_counts_as_1(store: Store, router: Router) -> None:
    await add(store, "heavy", weight=9)
    await add(store, "light", weight=0)
    first = collections.Counter(names(router)[0] for _ in range(2000))
    assert 0.85 < first["heavy"] / 2000 < 0.95
    assert all(sorted(names(router)) == ["heavy", "light"] for _ in range(20))


async def test_a_resting_channel_comes_last_of_all_until_its_time_is_over(
    store: Store, router: Router, cooldowns: Cooldowns
) -> None:
    high = await add(store, "high", priority=10)
    await add(store, "low")
    cooldowns.rest(high, until=5.0)
    assert names(router, now=1.0) == ["low", "high"]
    assert names(router, now=5.0) == ["high", "low"]


async def test_a_channel_that_has_served_is_well_again(
    store: Store, router: Router, cooldowns: Cooldowns
) -> None:
    high = await add(store, "high", priority=10)
    await add(store, "low")
    cooldowns.rest(high, until=5.0)
    cooldowns.wake(high)
    assert names(router, now=1.0) == ["high", "low"]


async def test_no_channel_for_model_or_group_is_a_503_that_names_both(store: Store, router: Router) -> None:
    await add(store, "off", status=2)
    await add(store, "vip", group="vip")
    with pytest.raises(NoChannelError, match="当前分组 default 下对于模型 m 无可用渠道") as caught:
        names(router)
    assert caught.value.status == 503


async def test_a_channel_without_models_serves_no_request_without_a_model(
    store: Store, router: Router
) -> None:
    await add(store, "proxy", models="")
    with pytest.raises(NoChannelError):
        list(router.candidates("default", "", 0.0))


async def test_a_named_channel_has_to_exist_and_to_be_enabled(store: Store, router: Router) -> None:
    off = await add(store, "off", status=2, group="other")
    on = await add(store, "on", group="other")
    assert router.pinned(on).name == "on"
    with pytest.raises(PermissionDeniedError, match="该渠道已被禁用"):
        router.pinned(off)
    with pytest.raises(ClientError, match="无效的渠道 Id"):
        router.pinned(99)
