"""SQLite itself: how connections are opened, the connection of the current thread, and how failures are told.

Every thread of the store has one connection. Queries are built by peewee and run by ``execute`` on it.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peewee

OLDEST_SQLITE = (3, 33, 0)  # UPDATE ... FROM
_UNIQUE = "UNIQUE constraint failed"

_thread = threading.local()
_dialect = peewee.SqliteDatabase(None)  # never connected: it only knows SQLite's operators and quoting


class StoreError(Exception):
    """The database cannot be opened, read or written. The text is for the operator."""


class DuplicateError(StoreError):
    """A value that must be unique is taken: ``UNIQUE constraint failed: users.username``."""


def connect(path: Path, *, busy_timeout_ms: int, read_only: bool = False) -> sqlite3.Connection:
    """A connection without implicit transactions. It may be closed by another thread than its user's.

    Raises StoreError when the file cannot be opened or is no database.
    """
    try:
        connection = sqlite3.connect(
            path, timeout=busy_timeout_ms / 1000, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as exc:
        raise StoreError(f"the database {path} cannot be opened: {exc}") from exc
    return connection


def use(connection: sqlite3.Connection) -> None:
    """Make ``connection`` the one of this thread."""
    _thread.connection = connection


def connection_in_use() -> sqlite3.Connection | None:
    """The connection of this thread, if it has one already."""
    return getattr(_thread, "connection", None)


def connection() -> sqlite3.Connection:
    """The connection of this thread: inside ``Store.read`` and ``Store.write`` there always is one."""
    current: sqlite3.Connection = _thread.connection
    return current


def execute(query: peewee.Query) -> sqlite3.Cursor:
    """Run ``query`` on this thread's connection."""
    sql, parameters = _dialect.get_sql_context().sql(query).query()  # type: ignore[no-untyped-call]
    return connection().execute(sql, parameters)


def rows(query: peewee.Query) -> list[tuple[Any, ...]]:
    """All rows of ``query``."""
    return execute(query).fetchall()


def starts_with(column: peewee.Field, keyword: str) -> peewee.Expression:
    """``column LIKE 'keyword%'`` with the wildcards in ``keyword`` taken literally."""
    return column.startswith(keyword)


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Commit when the body ends, roll back when it or the commit fails."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk makes SQLite roll back by itself, and a ROLLBACK would then hide the real failure.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def translated(exc: sqlite3.Error) -> StoreError:
    """``exc`` in the words of this package."""
    text = str(exc)
    if isinstance(exc, sqlite3.IntegrityError) and text.startswith(_UNIQUE):
        return DuplicateError(text)
    return StoreError(text)
