"""Queries of the log, settings, and redemption codes."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from oneapi.store import CodeUsedError, Store
from oneapi.store.logs import DayStatistics, LogFilter
from oneapi.store.options import Options
from oneapi.store.records import LOG_SYSTEM, LOG_TOPUP
from tests.store.rows import NOW, log, sql

DAY = 86400


@pytest.mark.parametrize(
    ("which", "ids"),
    [
        (LogFilter(), [4, 3, 2, 1]),
        (LogFilter(type=2), [3, 2, 1]),
        (LogFilter(user_id=2), [3]),
        (LogFilter(username="ann"), [2, 1]),
        (LogFilter(token_name="t", model_name="m"), [2]),
        (LogFilter(channel=7), [2]),
        (LogFilter(start=NOW + 1), [4, 3]),
        (LogFilter(end=NOW + 1), [3, 2, 1]),
        (LogFilter(start=NOW + 1, end=NOW + 1), [3]),
    ],
)
async def test_the_log_is_filtered_by_all_that_is_given(
    store: Store, which: LogFilter, ids: list[int]
) -> None:
    await store.logs.insert(
        [
            log(username="ann", quota=1),
            log(username="ann", token_name="t", model_name="m", channel=7, quota=2),
            log(user_id=2, created_at=NOW + 1, quota=4),
            log(user_id=3, created_at=NOW + 2, type=LOG_SYSTEM, quota=8),
        ]
    )
    assert [row.id for row in await store.logs.page(which, offset=0, limit=10)] == ids
    assert [row.id for row in await store.logs.page(which, offset=1, limit=1)] == ids[1:2]
    assert await store.logs.quota_sum(which) == sum(1 << (row - 1) for row in ids if row != 4)


async def test_search_finds_a_type_or_the_beginning_of_the_content(store: Store) -> None:
    await store.logs.insert(
        [log(content="10% off"), log(type=LOG_TOPUP, content="gift"), log(user_id=2, content="gift")]
    )
    assert [row.id for row in await store.logs.search("gi")] == [3, 2]
    assert [row.id for row in await store.logs.search("gi", user_id=1)] == [2]
    assert [row.id for row in await store.logs.search("1")] == [2, 1]
    assert [row.id for row in await store.logs.search("10%")] == [1]
    assert [row.id for row in await store.logs.search("_ift")] == []
    assert [row.id for row in await store.logs.search("", limit=2)] == [3, 2]


async def test_days_sum_up_a_users_consumption(store: Store) -> None:
    await store.logs.insert(
        [
            log(created_at=NOW + DAY, model_name="b", quota=1),
            log(model_name="b", quota=2, prompt_tokens=3, completion_tokens=4),
            log(model_name="b", quota=2, created_at=NOW + DAY - 1),
            log(model_name="a", quota=5),
            log(model_name="a", quota=5, user_id=2),
            log(model_name="a", quota=5, type=LOG_SYSTEM),
        ]
    )
    assert await store.logs.days(1, NOW, NOW + DAY) == [
        DayStatistics("2026-01-01", "a", 1, 5, 0, 0),
        DayStatistics("2026-01-01", "b", 2, 4, 3, 4),
        DayStatistics("2026-01-02", "b", 1, 1, 0, 0),
    ]


async def test_old_rows_are_deleted(store: Store) -> None:
    await store.logs.insert([log(created_at=NOW + age) for age in range(3)])
    assert await store.logs.delete_before(NOW + 2) == 2
    assert [row.id for row in await store.logs.page(LogFilter(), offset=0, limit=10)] == [3]


async def test_options_start_with_the_defaults(store: Store) -> None:
    options = store.options
    assert options.text("SystemName") == "One API"
    assert options.flag("RegisterEnabled")
    assert not options.flag("OidcEnabled")
    assert options.integer("SMTPPort") == 587
    assert options.text("never heard of") == ""
    assert options.text("GroupRatio") == '{"default":1,"svip":1,"vip":1}'
    assert options.text("ModelRatio").startswith('{"01-ai/yi-large":1.5,"360GPT_S2_V9":0.8572,')
    assert "e-" not in "".join(options.text("ModelRatio").split('"')[2::2])
    assert list(orjson.loads(options.text("ModelRatio"))) == sorted(orjson.loads(options.text("ModelRatio")))
    assert (options.relay.retry_times, options.relay.log_consume, options.relay.quota_per_unit) == (
        0,
        True,
        500000.0,
    )
    assert (options.relay.model_ratio, options.relay.completion_ratio, options.relay.group_ratio) == (
        "",
        "",
        "",
    )


async def test_an_option_is_stored_and_told_to_who_asked(store: Store, path: Path) -> None:
    seen: list[tuple[int, str]] = []

    def changed(options: Options) -> None:
        seen.append((options.relay.retry_times, options.relay.group_ratio))

    store.options.subscribe(changed)
    await store.options.put("RetryTimes", "3")
    await store.options.put("RetryTimes", "many")
    await store.options.put("GroupRatio", '{"vip": 2}')
    assert seen == [(0, ""), (3, ""), (0, ""), (0, '{"vip": 2}')]
    assert sql(path, "SELECT * FROM options ORDER BY 1") == [
        ("GroupRatio", '{"vip": 2}'),
        ("RetryTimes", "many"),
    ]
    assert store.options.text("RetryTimes") == "many"


@pytest.mark.parametrize("text", ["no json", "[1]", '{"my-model": 0.00001, "gpt-4o": 7}'])
async def test_ratios_are_listed_with_missing_defaults_after_a_restart(path: Path, text: str) -> None:
    store = await Store.open(path)
    await store.options.put("ModelRatio", text)
    assert store.options.text("ModelRatio") == text
    await store.close()
    store = await Store.open(path)
    await store.close()
    assert store.options.relay.model_ratio == text
    if not text.startswith("{"):
        assert store.options.text("ModelRatio") == text
        return
    listed: dict[str, Any] = orjson.loads(store.options.text("ModelRatio"))
    assert (listed["my-model"], listed["gpt-4o"], len(listed)) == (0.00001, 7, 567)
    assert '"my-model":0.00001,' in store.options.text("ModelRatio")


async def test_a_code_is_worth_its_quota_once(store: Store, path: Path) -> None:
    (code,) = await store.redemptions.insert([{"user_id": 1, "key": "code", "name": "gift", "quota": 0}])
    assert (code.quota, code.status, code.redeemed_time) == (100, 1, 0)
    tries = [store.redemptions.redeem("code", 1, now=NOW, content="{} units".format) for _ in range(3)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert [result for result in results if not isinstance(result, CodeUsedError)] == [100]
    assert store.index.users[1].quota == 1100
    assert sql(path, "SELECT quota FROM users") == [(1100,)]
    assert sql(path, "SELECT status, redeemed_time FROM redemptions") == [(3, NOW)]
    assert sql(path, "SELECT type, content, username, quota FROM logs") == [(1, "100 units", "ann", 0)]
    assert await store.redemptions.redeem("unknown", 1, now=NOW, content=str) is None
    assert await store.redemptions.redeem("", 1, now=NOW, content=str) is None


async def test_codes_are_changed_and_deleted(store: Store) -> None:
    await store.redemptions.insert([{"key": "c1", "name": "one"}, {"key": "c2", "name": "two"}])
    changed = await store.redemptions.update(1, {"name": "", "quota": 0, "status": 2})
    assert changed is not None
    assert (changed.name, changed.quota, changed.status, changed.key) == ("", 0, 2, "c1")
    assert await store.redemptions.get(1) == changed
    assert await store.redemptions.update(9, {"name": "x"}) is None
    assert await store.redemptions.delete(1)
    assert not await store.redemptions.delete(1)
    assert [code.id for code in await store.redemptions.search("tw")] == [2]
    assert [code.id for code in await store.redemptions.page(offset=0, limit=5)] == [2]
