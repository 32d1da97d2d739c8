"""Bringing a database up to this release: additive steps, listed by hand, recorded in a table of our own.

The reference program must still be able to open what we leave, so nothing of it is ever changed or dropped,
and tables, columns and indexes are made exactly as it makes them.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import peewee

from oneapi.store.db import OLDEST_SQLITE, StoreError, connect, transaction, use
from oneapi.store.models import INDEXES, TABLES, UNIQUE_CONSTRAINTS, Char, columns
from oneapi.store.routing import rebuild_abilities

log = logging.getLogger(__name__)

_RECORD = "oneapi_migrations"
_TYPES = {"INT": "integer", "AUTO": "integer", "TEXT": "text", "BOOL": "numeric", "FLOAT": "real"}


def migrate(path: Path, *, busy_timeout_ms: int) -> None:
    """Create or update the database at ``path``; a copy is made first when it holds something to lose.

    Raises StoreError when the file is no database, cannot be written, or was written by a newer release.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old, {wanted} is needed")
    connection = connect(path, busy_timeout_ms=busy_timeout_ms)
    with closing(connection):
        try:
            _migrate(connection, path)
        except sqlite3.Error as exc:
            raise StoreError(f"the database {path} cannot be used: {exc}") from exc


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    pending = _pending(connection, path)
    _check_writable(connection)
    if pending:
        if _tables(connection):
            _back_up(connection, path)
        use(connection)
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {_RECORD} (name text PRIMARY KEY, applied_at integer)"
        )
        for name, step in pending:
            with transaction(connection):
                step(connection)
                record = f"INSERT INTO {_RECORD} VALUES (?, ?)"  # noqa: S608  the name is a constant
                connection.execute(record, (name, int(time.time())))
    # The last of all: until here nothing was changed in a file that turned out to be unusable.
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        log.warning("the database's file system has no write-ahead log: reading will wait for writing")


def _pending(
    connection: sqlite3.Connection, path: Path
) -> list[tuple[str, Callable[[sqlite3.Connection], None]]]:
    done: set[str] = set()
    if _RECORD in _tables(connection):
        done = {name for (name,) in connection.execute(f"SELECT name FROM {_RECORD}")}  # noqa: S608
    known = [name for name, _ in MIGRATIONS]
    if newer := sorted(done.difference(known)):
        raise StoreError(f"the database {path} was written by a newer release (it has {newer[0]})")
    return [(name, step) for name, step in MIGRATIONS if name not in done]


def _check_writable(connection: sqlite3.Connection) -> None:
    # BEGIN IMMEDIATE alone does not notice a file that is read-only.
    with transaction(connection):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {version}")


def _tables(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return {name for (name,) in found}


def _back_up(connection: sqlite3.Connection, path: Path) -> None:
    """A consistent copy beside ``path``; it gets its name only when it is whole."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    target = path.with_name(f"{path.name}.backup-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.backup-{stamp}-{number}")
    unfinished = path.with_name(f"{path.name}.backup-unfinished")
    log.info("making a backup copy before the first change path=%s", target)  # which may take a while
    try:
        unfinished.unlink(missing_ok=True)
        with closing(sqlite3.connect(unfinished)) as copy:
            connection.backup(copy)
        unfinished.rename(target)
    except (sqlite3.Error, OSError) as exc:
        with suppress(OSError):
            unfinished.unlink()
        raise StoreError(f"no backup copy of {path} could be made, so it is left as it is: {exc}") from exc


def _one_api_schema(connection: sqlite3.Connection) -> None:
    """All that One API has; an older database lacks tables, columns or indexes."""
    present = _tables(connection)
    for model in TABLES:
        table = model._meta.table_name  # noqa: SLF001  peewee's documented place for it
        if table not in present:
            connection.execute(_create_table(model, table))
            continue
        names = {row[1].lower() for row in connection.execute(f"PRAGMA table_info(`{table}`)")}
        for column in columns(model):
            if column.name not in names:
                connection.execute(f"ALTER TABLE `{table}` ADD COLUMN {_column(column)}")
    for name, table, indexed, unique in INDEXES:
        _create_index(connection, name, table, indexed, unique=unique)
    if present and "abilities" not in present:
        rebuild_abilities()


def _create_index(
    connection: sqlite3.Connection, name: str, table: str, indexed: tuple[str, ...], *, unique: bool
) -> None:
    kind = "UNIQUE INDEX" if unique else "INDEX"
    listed = ",".join(f"`{column}`" for column in indexed)
    try:
        connection.execute(f"CREATE {kind} IF NOT EXISTS `{name}` ON `{table}`({listed})")
    except sqlite3.IntegrityError:
        # The duplicates are the operator's to sort out; refusing to start would be worse.
        log.warning("unique index left out, the column has duplicates index=%s", name)


def _create_table(model: type[peewee.Model], table: str) -> str:
    parts = [_column(column) for column in columns(model)]
    keys = ",".join(f"`{key.name}`" for key in model._meta.get_primary_keys())  # type: ignore[no-untyped-call]  # noqa: SLF001
    parts.append(f"PRIMARY KEY ({keys})")
    if table in UNIQUE_CONSTRAINTS:
        name, column = UNIQUE_CONSTRAINTS[table]
        parts.append(f"CONSTRAINT `{name}` UNIQUE (`{column}`)")
    return f"CREATE TABLE `{table}` ({','.join(parts)})"


def _column(column: peewee.Field) -> str:
    """A column as GORM declares it, defaults in double quotes included: it compares the texts."""
    declared = column.declared if isinstance(column, Char) else _TYPES[column.field_type]
    text = f"`{column.name}` {declared}"
    if column.default is not None:
        default = f'"{column.default}"' if isinstance(column.default, str) else str(column.default).lower()
        text += f" DEFAULT {default}"
    # Only users.password; options.key and the key of abilities are nullable in One API's schema.
    if not column.null and not isinstance(column, peewee.AutoField):
        text += " NOT NULL"
    return text


MIGRATIONS: tuple[tuple[str, Callable[[sqlite3.Connection], None]], ...] = (
    ("0001_one_api_schema", _one_api_schema),
)
