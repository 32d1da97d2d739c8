"""Creating, taking over and refusing database files."""
# ruff: noqa: ASYNC221, ASYNC240  nothing else runs on the loops of these tests

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from oneapi.store import Store, StoreError
from oneapi.store.db import connection
from oneapi.store.logs import LogFilter
from tests.store.conftest import REFERENCE_DATABASE
from tests.store.rows import settlement, sql

SCHEMA = (
    "SELECT type, name, tbl_name, sql FROM sqlite_master"
    " WHERE sql IS NOT NULL AND tbl_name != 'oneapi_migrations'"
)


def schema(path: Path) -> dict[tuple[str, str, str], str]:
    return {(kind, name, table): text.replace("`", '"') for kind, name, table, text in sql(path, SCHEMA)}


def backups(path: Path) -> list[Path]:
    return sorted(path.parent.glob("one-api.db.backup-*"))


async def test_a_new_database_has_the_schema_of_the_reference_program(store: Store, path: Path) -> None:
    assert schema(path) == schema(REFERENCE_DATABASE)


async def test_an_existing_database_keeps_its_schema(reference: Store, reference_path: Path) -> None:
    assert schema(reference_path) == schema(REFERENCE_DATABASE)


async def test_a_copy_is_kept_before_the_first_change_of_a_foreign_database(reference_path: Path) -> None:
    for _ in range(2):
        store = await Store.open(reference_path)
        await store.close()
    (copy,) = backups(reference_path)
    assert re.fullmatch(r"one-api\.db\.backup-\d{8}-\d{6}", copy.name)
    everything = "SELECT * FROM logs ORDER BY id"
    assert sql(copy, everything) == sql(REFERENCE_DATABASE, everything)
    assert schema(copy) == schema(REFERENCE_DATABASE)
    assert sql(copy, "SELECT name FROM sqlite_master WHERE name = 'oneapi_migrations'") == []


async def test_copies_of_the_same_second_do_not_replace_each_other(
    reference_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oneapi.store.migrations.time.strftime", lambda _: "20260101-000000")
    for _ in range(3):
        shutil.copy(REFERENCE_DATABASE, reference_path)
        await (await Store.open(reference_path)).close()
    names = [copy.name.removeprefix("one-api.db.backup-") for copy in backups(reference_path)]
    assert names == ["20260101-000000", "20260101-000000-2", "20260101-000000-3"]


async def test_without_a_copy_nothing_is_changed(reference_path: Path) -> None:
    reference_path.with_name("one-api.db.backup-unfinished").mkdir()
    with pytest.raises(StoreError, match=r"no backup copy .* left as it is"):
        await Store.open(reference_path)
    assert schema(reference_path) == schema(REFERENCE_DATABASE)
    assert sql(reference_path, "SELECT name FROM sqlite_master WHERE name = 'oneapi_migrations'") == []


async def test_an_sqlite_that_is_too_old_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
    with pytest.raises(StoreError, match=r"too old, 3\.33\.0 is needed"):
        await Store.open(path)


async def test_a_closed_database_refuses_changes(path: Path) -> None:
    store = await Store.open(path)
    await store.close()
    with pytest.raises(StoreError, match="is closed"):
        await store.options.put("RetryTimes", "1")


async def test_a_new_database_needs_no_copy(store: Store, path: Path) -> None:
    assert backups(path) == []


async def test_the_log_of_a_crashed_writer_is_in_the_copy(reference_path: Path) -> None:
    crash = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA journal_mode = WAL')\n"
        "c.execute(\"UPDATE users SET display_name = 'late' WHERE id = 1\")\n"
        "os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", crash, reference_path], check=False)
    store = await Store.open(reference_path)
    await store.close()
    assert sql(backups(reference_path)[0], "SELECT display_name FROM users WHERE id = 1") == [("late",)]


async def test_a_database_of_an_old_release_gets_what_it_lacks(path: Path) -> None:
    with closing(sqlite3.connect(path)) as old, old:
        old.execute(
            "CREATE TABLE users (id integer PRIMARY KEY, username text UNIQUE, password text NOT NULL)"
        )
        old.execute("INSERT INTO users VALUES (1, 'root', 'hash')")
        old.execute(
            "CREATE TABLE tokens (id integer PRIMARY KEY, user_id integer, `key` text, remain_quota integer)"
        )
        old.execute("INSERT INTO tokens VALUES (1, 1, 'old-key', 7)")
        old.execute(
            "CREATE TABLE channels (id integer PRIMARY KEY, type integer, `key` text, status integer)"
        )
        old.execute("ALTER TABLE channels ADD COLUMN models text")
        old.execute("INSERT INTO channels VALUES (3, 1, 'sk', 1, 'gpt-4')")
        old.execute("CREATE TABLE logs (id integer PRIMARY KEY, user_id integer, type integer, content text)")
        old.execute("INSERT INTO logs VALUES (1, 1, 2, 'before')")
    store = await Store.open(path)
    try:
        store.settle(settlement(2, channel_id=3))
        assert [row.content for row in await store.logs.page(LogFilter(), offset=0, limit=9)] == [
            "",
            "before",
        ]
        token = await store.tokens.get(1, 1)
        assert token is not None
        assert (token.remain_quota, token.status, token.expired_time, token.models) == (5, 1, -1, None)
        assert store.channels.model_names("default") == ["gpt-4"]
    finally:
        await store.close()
    assert sql(path, "SELECT * FROM abilities") == [("default", "gpt-4", 3, 1, 0)]
    assert {name for _, name, _ in schema(path)} == {name for _, name, _ in schema(REFERENCE_DATABASE)}


@pytest.mark.expected_log("unique index left out")
async def test_duplicates_in_an_old_database_do_not_keep_it_shut(path: Path) -> None:
    sql(path, "CREATE TABLE redemptions (id integer PRIMARY KEY, `key` char(32))")
    sql(path, "INSERT INTO redemptions VALUES (1, 'same'), (2, 'same')")
    store = await Store.open(path)
    assert len(await store.redemptions.page(offset=0, limit=9)) == 2
    await store.close()


async def test_a_database_of_a_newer_release_is_refused_and_left_alone(reference_path: Path) -> None:
    sql(reference_path, "CREATE TABLE oneapi_migrations (name text PRIMARY KEY, applied_at integer)")
    sql(reference_path, "INSERT INTO oneapi_migrations VALUES ('0999_from_the_future', 0)")
    before = reference_path.read_bytes()
    with pytest.raises(StoreError, match=r"newer release.*0999_from_the_future"):
        await Store.open(reference_path)
    assert reference_path.read_bytes() == before


async def test_a_second_process_is_refused(store: Store, path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from oneapi.store import Store, StoreError\n"
        "try:\n    asyncio.run(Store.open(Path(sys.argv[1])))\n"
        "except StoreError as exc:\n    print(exc)"
    )
    result = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == f"the database {path} is in use by another process"


async def test_a_closed_database_can_be_opened_again(path: Path) -> None:
    for _ in range(3):
        store = await Store.open(path)
        await store.close()
        await store.close()
    assert [file.name for file in path.parent.iterdir() if not file.name.endswith(".lock")] == ["one-api.db"]


@pytest.mark.parametrize(
    "content",
    [b"this is not a database, it only has the name of one\n" * 99, b"SQLite format 3\0" + b"\xff" * 5000],
)
async def test_a_file_that_is_no_database_is_refused_by_name(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match=re.escape(str(path))):
        await Store.open(path)
    assert path.read_bytes() == content


async def test_a_folder_in_place_of_the_file_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreError, match="cannot be opened"):
        await Store.open(path)


async def test_a_missing_folder_is_refused(path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        await Store.open(path / "missing" / "one-api.db")


async def test_a_file_that_cannot_be_written_is_refused_and_left_alone(reference_path: Path) -> None:
    # A write version that SQLite does not know makes the file read-only to it, also for root.
    content = bytearray(reference_path.read_bytes())
    content[18] = 9
    reference_path.write_bytes(content)
    with pytest.raises(StoreError, match=rf"{re.escape(str(reference_path))} cannot be used: .*readonly"):
        await Store.open(reference_path)
    assert reference_path.read_bytes() == content
    assert backups(reference_path) == []


async def test_a_commit_is_on_disk_before_it_is_reported(store: Store, path: Path) -> None:
    def pragma(name: str) -> object:
        return connection().execute(f"PRAGMA {name}").fetchone()[0]

    names = ("synchronous", "journal_mode", "foreign_keys")
    assert [await store.write(pragma, name) for name in names] == [2, "wal", 0]


async def test_readers_cannot_write(store: Store) -> None:
    def attempt() -> None:
        connection().execute("DELETE FROM users")

    with pytest.raises(StoreError, match="readonly"):
        await store.read(attempt)
