"""A batch of settlements as a handful of SQL statements. What only SQLite understands is here.

Rows are bound many at a time: each step of a statement releases the interpreter's lock, and getting it back
from a busy event loop costs far more than the step. (Expanding one JSON parameter with json_each was
measured and is slower than many bound values.)
"""

import sqlite3
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from oneapi.store.records import Log, Settlement

_LOG_COLUMNS = (
    "user_id",
    "created_at",
    "type",
    "content",
    "username",
    "token_name",
    "model_name",
    "quota",
    "prompt_tokens",
    "completion_tokens",
    "channel_id",
    "request_id",
    "elapsed_time",
    "is_stream",
    "system_prompt_reset",
)
_log_values = attrgetter(*("channel" if name == "channel_id" else name for name in _LOG_COLUMNS))

# Few distinct sizes, so that SQLite's prepared statements are found again.
_INSERT_SIZES = (64, 8, 1)
_UPDATE_SIZES = (1, 16, 128)


def _placeholders(count: int, width: int) -> str:
    return ",".join(["(" + ",".join("?" * width) + ")"] * count)


# Only constants are put into these texts (S608).
_INSERT = f"INSERT INTO logs ({','.join(_LOG_COLUMNS)}) VALUES "  # noqa: S608
_INSERT_LOGS = {size: _INSERT + _placeholders(size, len(_LOG_COLUMNS)) for size in _INSERT_SIZES}


def _update(table: str, assignments: str, width: int) -> dict[int, str]:
    head, tail = f"UPDATE {table} SET {assignments} FROM (VALUES ", f") AS d WHERE {table}.id = d.column1"  # noqa: S608
    return {size: head + _placeholders(size, width) + tail for size in _UPDATE_SIZES}


_UPDATE_USERS = _update(
    "users",
    "quota = COALESCE(quota, 0) - d.column2, used_quota = COALESCE(used_quota, 0) + d.column2,"
    " request_count = COALESCE(request_count, 0) + d.column3",
    3,
)
_UPDATE_TOKENS = _update(
    "tokens",
    "remain_quota = COALESCE(remain_quota, 0) - d.column2, used_quota = COALESCE(used_quota, 0) + d.column3,"
    " accessed_time = d.column4",
    4,
)
_UPDATE_CHANNELS = _update("channels", "used_quota = COALESCE(used_quota, 0) + d.column2", 2)


def apply(connection: sqlite3.Connection, batch: Sequence[Settlement]) -> None:
    """Write log rows (in order, SQLite numbers them) and counters. The caller has opened the transaction."""
    users: dict[int, list[int]] = {}
    tokens: dict[int, list[int]] = {}
    channels: dict[int, list[int]] = {}
    for settlement in batch:
        quota = settlement.quota
        if user_id := settlement.user_id:
            user = users.get(user_id) or users.setdefault(user_id, [user_id, 0, 0])
            user[1] += quota
            user[2] += settlement.requests
        if token_id := settlement.token_id:
            token = tokens.get(token_id) or tokens.setdefault(token_id, [token_id, 0, 0, 0])
            if not settlement.token_unlimited:
                token[1] += quota
            token[2] += quota
            token[3] = settlement.settled_at
        if channel_id := settlement.channel_id:
            channel = channels.get(channel_id) or channels.setdefault(channel_id, [channel_id, 0])
            channel[1] += quota
    insert_logs(connection, [settlement.log for settlement in batch if settlement.log is not None])
    _change(connection, _UPDATE_USERS, list(users.values()))
    _change(connection, _UPDATE_TOKENS, list(tokens.values()))
    _change(connection, _UPDATE_CHANNELS, list(channels.values()))


def insert_logs(connection: sqlite3.Connection, logs: Sequence[Log]) -> None:
    """Append ``logs``; their own ids are ignored."""
    start = 0
    for size in _INSERT_SIZES:
        while len(logs) - start >= size:
            connection.execute(_INSERT_LOGS[size], _flat(map(_log_values, logs[start : start + size])))
            start += size


def _change(connection: sqlite3.Connection, statements: dict[int, str], changes: list[list[int]]) -> None:
    start, largest = 0, _UPDATE_SIZES[-1]
    while start < len(changes):
        part = changes[start : start + largest]
        size = next(size for size in _UPDATE_SIZES if size >= len(part))
        # Rows of NULL match no id: they fill a statement up to its size.
        filler = [None] * (len(part[0]) * (size - len(part)))
        connection.execute(statements[size], _flat(part) + filler)
        start += largest


def _flat(values: Iterable[Iterable[Any]]) -> list[Any]:
    return [value for row in values for value in row]
