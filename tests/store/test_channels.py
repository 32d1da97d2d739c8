"""Channels: stored, parsed, and routed to from the moment of the change."""

import random
from pathlib import Path
from typing import Any

import pytest

from oneapi.store import Store
from oneapi.store.routing import routes
from tests.store.rows import sql

ABILITIES = "SELECT `group`, model, enabled, priority FROM abilities WHERE channel_id = ? ORDER BY 1, 2"


def served(store: Store, group: str, model: str) -> list[list[int]]:
    return [[channel.id for channel in tier] for tier in store.index.routes.get(group, {}).get(model, ())]


async def test_a_new_channel_serves_its_models_and_groups(store: Store, path: Path) -> None:
    (row,) = await store.channels.insert(
        [{"key": "sk", "models": " m1,m2,,m1", "group": "default, vip", "priority": 3}]
    )
    assert (row.id, row.type, row.status, row.weight, row.base_url, row.other) == (2, 0, 1, 0, "", None)
    assert (row.model_mapping, row.priority, row.config, row.system_prompt) == ("", 3, "", None)
    assert sql(path, ABILITIES, 2) == [(g, m, 1, 3) for g in ("default", "vip") for m in ("m1", "m2")]
    assert served(store, "vip", "m2") == [[2]]
    assert store.channels.model_names("default") == ["gpt-4o", "gpt-4o-mini", "m1", "m2"]


async def test_better_priority_comes_first_and_none_counts_as_zero(store: Store) -> None:
    priorities = [0, None, -5, 7]
    await store.channels.insert(
        [{"key": "k", "models": "p", "priority": priority} for priority in priorities]
    )
    assert served(store, "default", "p") == [[5], [2, 3], [4]]


async def test_a_channel_that_is_switched_off_is_not_routed_to(store: Store, path: Path) -> None:
    await store.channels.set_status(1, 3)
    assert store.index.routes == {}
    assert sql(path, ABILITIES, 1) == [("default", "gpt-4o", 0, 0), ("default", "gpt-4o-mini", 0, 0)]
    assert store.index.channels[1].status == 3
    await store.channels.set_status(1, 1)
    assert served(store, "default", "gpt-4o") == [[1]]


async def test_a_channel_without_models_serves_nothing(store: Store, path: Path) -> None:
    await store.channels.update(1, {"models": ""})
    assert store.index.routes == {}
    assert sql(path, ABILITIES, 1) == []


async def test_an_unknown_channel_is_not_made_by_an_update(store: Store, path: Path) -> None:
    assert await store.channels.update(77, {"name": "ghost", "models": "m"}) is None
    assert sql(path, "SELECT COUNT(*) FROM abilities WHERE channel_id = 77") == [(0,)]


async def test_deleted_channels_take_their_abilities_along(store: Store, path: Path) -> None:
    await store.channels.insert([{"key": "k", "models": "a", "status": status} for status in (2, 3, 1)])
    assert await store.channels.delete_disabled() == 2
    assert await store.channels.delete_disabled() == 0
    assert await store.channels.delete(1)
    assert not await store.channels.delete(1)
    assert sql(path, "SELECT DISTINCT channel_id FROM abilities") == [(4,)]
    assert list(store.index.channels) == [4]


async def test_a_test_result_does_not_disturb_the_routes(store: Store) -> None:
    before = store.index.routes["default"]["gpt-4o"]
    row = await store.channels.update(1, {"response_time": 12, "test_time": 5, "balance": 1.5})
    assert row is not None
    assert (row.response_time, row.balance) == (12, 1.5)
    assert store.index.routes["default"]["gpt-4o"] is before


@pytest.mark.parametrize(
    ("columns", "mapping", "settings"),
    [
        ({"model_mapping": '{"a": "b", "c": "", "d": 3}'}, {"a": "b"}, {}),
        ({"model_mapping": "not json"}, {}, {}),
        ({"model_mapping": "[1]", "config": "{"}, {}, {}),
        ({"config": '{"region": "eu", "n": 1}'}, {}, {"region": "eu"}),
        ({"type": 3, "other": "2024-03"}, {}, {"api_version": "2024-03"}),
        ({"type": 3, "other": "old", "config": '{"api_version": "new"}'}, {}, {"api_version": "new"}),
        ({"type": 18, "other": "v3", "config": '{"api_version": ""}'}, {}, {"api_version": "v3"}),
        ({"type": 21, "other": "lib"}, {}, {"library_id": "lib"}),
        ({"type": 17, "other": "plug"}, {}, {"plugin": "plug"}),
        ({"type": 1, "other": "x"}, {}, {}),
    ],
)
async def test_mapping_and_settings_are_parsed_once(
    store: Store, columns: dict[str, Any], mapping: dict[str, str], settings: dict[str, str]
) -> None:
    await store.channels.update(1, columns)
    channel = store.index.channels[1]
    assert (channel.mapping, channel.settings) == (mapping, settings)


async def test_single_changes_and_a_rebuild_give_the_same_routes(store: Store) -> None:
    random_ = random.Random(3)
    await store.channels.insert([{"key": "k", "models": "a,b", "group": "g1,g2"} for _ in range(12)])
    for _ in range(120):
        changes: dict[str, Any] = random_.choice(
            [
                {"status": random_.randrange(1, 4)},
                {"priority": random_.randrange(3)},
                {"models": random_.choice(["", "a", "b,c", "a,b,c"])},
                {"group": random_.choice(["g1", "g1,g2", "g3"])},
            ]
        )
        await store.channels.update(random_.randrange(1, 14), changes)
    shape = {
        group: {model: [sorted(c.id for c in tier) for tier in tiers] for model, tiers in models.items()}
        for group, models in store.index.routes.items()
    }
    assert shape == {
        group: {model: [sorted(c.id for c in tier) for tier in tiers] for model, tiers in models.items()}
        for group, models in routes(store.index.channels.values()).items()
    }


async def test_search_finds_by_id_or_beginning_of_the_name(store: Store) -> None:
    await store.channels.insert([{"key": "k", "name": name} for name in ("upper", "100%", "down")])
    assert [row.id for row in await store.channels.search("up")] == [1, 2]
    assert [row.id for row in await store.channels.search("4")] == [4]
    assert [row.id for row in await store.channels.search("100%")] == [3]
    assert [row.id for row in await store.channels.page(offset=1, limit=2)] == [3, 2]
