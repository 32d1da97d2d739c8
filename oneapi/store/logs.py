"""The log: every charge, top-up, manual change and test."""

from collections.abc import Sequence
from dataclasses import dataclass

from oneapi.store.records import Log


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

    async def page(self, which: LogFilter, *, offset: int, limit: int) -> list[Log]:
        """By id, descending."""
        raise NotImplementedError

    async def search(self, keyword: str, *, user_id: int = 0, limit: int = 100) -> list[Log]:
        """Rows whose type equals ``keyword`` or whose content starts with it; by id, descending."""
        raise NotImplementedError

    async def quota_sum(self, which: LogFilter) -> int:
        """Sum of quota over the consume rows of ``which`` (its ``type`` is ignored)."""
        raise NotImplementedError

    async def days(self, user_id: int, start: int, end: int) -> list[DayStatistics]:
        """A user's consume rows by UTC day and model, in that order."""
        raise NotImplementedError

    async def insert(self, rows: Sequence[Log]) -> None:
        """Store rows; their ids are given here."""
        raise NotImplementedError

    async def delete_before(self, timestamp: int) -> int:
        """Delete rows older than ``timestamp``; how many."""
        raise NotImplementedError
