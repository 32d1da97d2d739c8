"""The log: every charge, top-up, manual change and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peewee import SQL, Expression, fn

from oneapi.store import models
from oneapi.store.db import connection, execute, rows, starts_with
from oneapi.store.records import LOG_CONSUME, Log
from oneapi.store.settlements import insert_logs
from oneapi.store.users import as_id

if TYPE_CHECKING:
    from oneapi.store.store import Store

_LOG = models.Logs


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which rows; 0 and "" leave a field open. Times are inclusive Unix seconds."""

    user_id: int = 0
    type: int = 0
    start: int = 0
    end: int = 0
    username: str = ""
    token_name: str = ""
    model_name: str = ""
    channel: int = 0


@dataclass(frozen=True, slots=True)
class DayStatistics:
    """Use of one model on one UTC day."""

    day: str  # "2026-11-24"
    model_name: str
    request_count: int
    quota: int
    prompt_tokens: int
    completion_tokens: int


class Logs:
    """Queries and changes of ``logs``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, which: LogFilter, *, offset: int, limit: int) -> list[Log]:
        """By id, descending."""
        found = _LOG.select().where(*_conditions(which, which.type))
        return await self._store.read(_logs, found.order_by(_LOG.id.desc()).limit(limit).offset(offset))

    async def search(self, keyword: str, *, user_id: int = 0, limit: int = 100) -> list[Log]:
        """Rows whose type equals ``keyword`` or whose content starts with it; by id, descending."""
        found = starts_with(_LOG.content, keyword)
        if (number := as_id(keyword)) is not None:
            found |= _LOG.type == number
        if user_id:
            found &= _LOG.user_id == user_id
        return await self._store.read(_logs, _LOG.select().where(found).order_by(_LOG.id.desc()).limit(limit))

    async def quota_sum(self, which: LogFilter) -> int:
        """Sum of quota over the consume rows of ``which`` (its ``type`` is ignored)."""
        query = _LOG.select(fn.COALESCE(fn.SUM(_LOG.quota), 0)).where(*_conditions(which, LOG_CONSUME))
        return await self._store.read(_number, query)

    async def days(self, user_id: int, start: int, end: int) -> list[DayStatistics]:
        """A user's consume rows by UTC day and model, in that order."""
        return await self._store.read(_days, LogFilter(user_id=user_id, start=start, end=end))

    async def insert(self, rows: Sequence[Log]) -> None:
        """Store rows; their ids are given here."""
        await self._store.write(_insert, tuple(rows))

    async def delete_before(self, timestamp: int) -> int:
        """Delete rows older than ``timestamp``; how many."""
        return await self._store.write(_delete_before, timestamp)


def _conditions(which: LogFilter, row_type: int) -> list[Expression | bool]:
    equal = (
        (_LOG.type, row_type),
        (_LOG.user_id, which.user_id),
        (_LOG.username, which.username),
        (_LOG.token_name, which.token_name),
        (_LOG.model_name, which.model_name),
        (_LOG.channel_id, which.channel),
    )
    conditions: list[Any] = [column == value for column, value in equal if value]
    if which.start:
        conditions.append(_LOG.created_at >= which.start)
    if which.end:
        conditions.append(_LOG.created_at <= which.end)
    return conditions or [True]


def _logs(query: Any) -> list[Log]:
    return [models.log(row) for row in rows(query)]


def _number(query: Any) -> int:
    return int(rows(query)[0][0])


def _days(which: LogFilter) -> list[DayStatistics]:
    day = fn.STRFTIME("%Y-%m-%d", _LOG.created_at, "unixepoch").alias("day")
    sums = [
        fn.COALESCE(fn.SUM(column), 0) for column in (_LOG.quota, _LOG.prompt_tokens, _LOG.completion_tokens)
    ]
    query = (
        _LOG.select(day, fn.COALESCE(_LOG.model_name, "").alias("model"), fn.COUNT(_LOG.id), *sums)
        .where(*_conditions(which, LOG_CONSUME))
        .group_by(SQL("day"), SQL("model"))
        .order_by(SQL("day"), SQL("model"))
    )
    return [DayStatistics(*row) for row in rows(query)]


def _insert(new: Sequence[Log]) -> None:
    insert_logs(connection(), new)


def _delete_before(timestamp: int) -> int:
    return execute(_LOG.delete().where(_LOG.created_at < timestamp)).rowcount
