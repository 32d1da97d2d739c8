"""Charges: exact, in order, soon on disk, and not lost when the disk or the process fails."""

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from oneapi.store import Store, StoreError
from oneapi.store.db import connection
from oneapi.store.logs import LogFilter
from tests.store.rows import NOW, log, settlement, sql

COUNTERS = "SELECT quota, used_quota, request_count FROM users WHERE id = 1"
TOKEN = "SELECT remain_quota, used_quota, accessed_time FROM tokens WHERE id = 1"
CHANNEL = "SELECT used_quota FROM channels WHERE id = 1"


async def until_logged(path: Path, rows: int) -> None:
    """Wait until another program sees ``rows`` rows in the log."""
    while sql(path, "SELECT COUNT(*) FROM logs")[0][0] < rows:  # noqa: ASYNC110  a database has no event to wait for
        await asyncio.sleep(0.001)


async def test_a_charge_reaches_user_token_channel_and_log(store: Store, path: Path) -> None:
    row = log(
        content="倍率",
        username="ann",
        token_name="main",
        model_name="gpt-4o",
        quota=30,
        channel=1,
        is_stream=True,
    )
    store.settle(settlement(30, log=row, settled_at=NOW + 5))
    await store.flush()
    assert sql(path, COUNTERS) == [(970, 30, 1)]
    assert sql(path, TOKEN) == [(470, 30, NOW + 5)]
    assert sql(path, CHANNEL) == [(30,)]
    (stored,) = await store.logs.page(LogFilter(), offset=0, limit=9)
    assert stored == log(**{name: getattr(row, name) for name in row.__slots__} | {"id": 1})
    assert sql(path, "SELECT typeof(is_stream), is_stream, system_prompt_reset FROM logs") == [
        ("integer", 1, 0)
    ]


async def test_an_unlimited_token_counts_its_use_but_keeps_its_balance(store: Store, path: Path) -> None:
    store.settle(settlement(30, token_unlimited=True))
    await store.flush()
    assert sql(path, TOKEN) == [(500, 30, NOW)]


async def test_a_charge_without_user_token_channel_or_log_leaves_them_alone(store: Store, path: Path) -> None:
    store.settle(settlement(7, user_id=0, token_id=0))
    store.settle(settlement(5, channel_id=0, log=None))
    await store.flush()
    assert sql(path, COUNTERS) == [(995, 5, 1)]
    assert sql(path, CHANNEL) == [(7,)]
    assert sql(path, "SELECT quota FROM logs") == [(7,)]


async def test_counters_that_an_old_release_left_empty_start_at_zero(store: Store, path: Path) -> None:
    sql(path, "UPDATE users SET quota = NULL, used_quota = NULL, request_count = NULL")
    store.settle(settlement(7))
    await store.flush()
    assert sql(path, COUNTERS) == [(-7, 7, 1)]


async def test_log_rows_are_numbered_in_the_order_of_settlement(store: Store, path: Path) -> None:
    for number in range(1, 1300):
        store.settle(settlement(log=log(request_id=str(number))))
    await store.flush()
    assert sql(path, "SELECT COUNT(*) FROM logs WHERE CAST(id AS text) != request_id") == [(0,)]
    assert sql(path, COUNTERS) == [(1000 - 1299, 1299, 1299)]


async def test_sums_agree_to_the_unit_under_load(reference: Store, reference_path: Path) -> None:
    random_ = random.Random(7)
    spent: dict[str, Counter[int]] = {"users": Counter(), "tokens": Counter(), "channels": Counter()}
    before = {table: dict(sql(reference_path, f"SELECT id, used_quota FROM {table}")) for table in spent}
    for _ in range(60):
        for _ in range(random_.randrange(100)):
            user, token, channel = (
                random_.randrange(1, 14),
                random_.randrange(1, 29),
                random_.randrange(1, 13),
            )
            quota = random_.randrange(0, 5000)
            reference.settle(settlement(quota, user_id=user, token_id=token, channel_id=channel))
            for table, key in (("users", user), ("tokens", token), ("channels", channel)):
                spent[table][key] += quota
        await asyncio.sleep(0.001)
    await reference.flush()
    for table, expected in spent.items():
        after = dict(sql(reference_path, f"SELECT id, used_quota FROM {table}"))
        assert {key: after[key] - before[table][key] for key in after} == {
            key: expected[key] for key in after
        }
    logged = sql(reference_path, "SELECT user_id, SUM(quota) FROM logs WHERE id > 404 GROUP BY user_id")
    assert dict(logged) == spent["users"]


async def test_a_charge_is_on_disk_soon_without_anybody_waiting(store: Store, path: Path) -> None:
    started = time.monotonic()
    store.settle(settlement())
    await until_logged(path, 1)
    # 20 ms are promised; a busy test machine gets more.
    assert time.monotonic() - started < 2


async def test_many_charges_do_not_wait_for_the_clock(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oneapi.store.writer.COLLECT_S", 3600)
    for _ in range(500):
        store.settle(settlement())
    await until_logged(path, 500)
    assert sql(path, "SELECT COUNT(*) FROM logs") == [(500,)]


async def test_who_charges_reads_his_charge(store: Store) -> None:
    for count in range(1, 20):
        store.settle(settlement(10))
        assert await store.logs.quota_sum(LogFilter()) == 10 * count


async def test_closing_writes_what_is_queued(store: Store, path: Path) -> None:
    for _ in range(3):
        store.settle(settlement(10))
    await store.close()
    assert sql(path, COUNTERS) == [(970, 30, 3)]
    assert not path.with_name("one-api.db-wal").exists()


def limit_pages(pages: int) -> None:
    """Make the writer's disk full (0: as full as it is), or large again."""
    now = connection().execute("PRAGMA page_count").fetchone()[0]
    connection().execute(f"PRAGMA max_page_count = {pages or now}")


@pytest.mark.expected_log("charges cannot be written, they wait in memory", "charges are written again")
async def test_a_full_disk_loses_and_doubles_nothing(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oneapi.store.writer.RETRY_S", 0.01)
    big = log(content="x" * 20_000)
    await store.write(limit_pages, 0)
    for _ in range(3):
        store.settle(settlement(10, log=big))
    with pytest.raises(StoreError):
        await store.flush()
    with pytest.raises(StoreError):
        await store.users.update(1, {"quota": 77_000})
    store.settle(settlement(10, log=big))
    assert store.index.users[1].quota == 1000, "the edit that failed is taken back"
    assert [row.username for row in await store.users.page(offset=0, limit=9)] == ["ann"], (
        "one can still look"
    )
    assert sql(path, COUNTERS) == [(1000, 0, 0)]
    # The writer refuses commands while it fails, so the limit goes through its own connection from here.
    store._writer._connection.execute("PRAGMA max_page_count = 1000000")
    await until_logged(path, 4)
    assert sql(path, COUNTERS) == [(960, 40, 4)]
    await store.flush()


@pytest.mark.expected_log(
    "charges cannot be written", "settlements could not be written before the end count=1"
)
async def test_closing_ends_even_when_the_disk_stays_full(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oneapi.store.writer.RETRY_S", 0.01)
    await store.write(limit_pages, 0)
    store.settle(settlement(log=log(content="x" * 50_000)))
    await store.close()


@pytest.mark.expected_log("a log row cannot be stored user_id=1")
@pytest.mark.parametrize("bad", [{"model_name": "\ud800"}, {"prompt_tokens": 1 << 70}])
async def test_a_row_that_no_column_takes_does_not_hold_up_the_others(
    store: Store, path: Path, bad: dict[str, object]
) -> None:
    store.settle(settlement(1))
    store.settle(settlement(10, log=log(**bad)))
    store.settle(settlement(100))
    await store.flush()
    assert sql(path, COUNTERS) == [(889, 111, 3)]
    assert sql(path, "SELECT quota FROM logs ORDER BY id") == [(1,), (100,)]


@pytest.mark.expected_log(
    "a log row cannot be stored", "a charge cannot be stored user_id=1 token_id=1 channel_id=1"
)
async def test_an_impossible_charge_is_reported_and_left_out(store: Store, path: Path) -> None:
    store.settle(settlement(1 << 70))
    store.settle(settlement(5))
    await store.flush()
    assert sql(path, COUNTERS) == [(995, 5, 1)]


@pytest.mark.timeout(60)
def test_a_killed_process_leaves_counters_that_equal_the_log(path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.store.crash", path],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert program.stdout is not None
    with program:
        promised = [int(program.stdout.readline()) for _ in range(5)][-1]
        program.kill()
        promised = max([promised, *map(int, program.stdout.read().split())])
    ((rows, quota),) = sql(path, "SELECT COUNT(*), SUM(quota) FROM logs")
    assert rows >= promised
    assert sql(path, COUNTERS) == [(10**9 - quota, quota, rows)]
    assert sql(path, TOKEN) == [(10**9 - quota, quota, NOW)]
    assert sql(path, CHANNEL) == [(quota,)]
