"""Whether the money is right: every counter equals the sum of the log rows behind it, to the unit."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

CONSUME = 2
ROOT_QUOTA = 500_000_000_000_000


def rows(database: Path, query: str, *values: object) -> list[tuple[object, ...]]:
    """The result of ``query``, through a connection that cannot write."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query, values).fetchall()


def ledger_check(
    database: Path, *, granted: Mapping[int, int] | None = None, limits: Mapping[int, int] | None = None
) -> None:
    """Assert that users, tokens and channels agree with the consume log.

    ``granted`` is what users (by id) have been given in all; without it only root's start balance is known.
    ``limits`` is what limited tokens (by id) started with. Tokens of a user must have different names: the
    log knows no token ids.
    """
    wrong = [
        *_users(database, granted or {1: ROOT_QUOTA}),
        *_tokens(database, limits or {}),
        *_channels(database),
    ]
    assert not wrong, "\n".join(wrong)


def _users(database: Path, granted: Mapping[int, int]) -> list[str]:
    query = """
        SELECT u.id, u.quota, u.used_quota, u.request_count, COALESCE(SUM(l.quota), 0), COUNT(l.id)
        FROM users u LEFT JOIN logs l ON l.user_id = u.id AND l.type = ? GROUP BY u.id"""
    wrong = []
    for user, quota, used, requests, charged, count in rows(database, query, CONSUME):
        if used != charged:
            wrong.append(f"user {user}: used_quota {used}, charged by log {charged}")
        if requests != count:
            wrong.append(f"user {user}: request_count {requests}, log rows {count}")
        start = granted.get(int(str(user)))
        if start is not None and quota != start - int(str(charged)):
            wrong.append(f"user {user}: quota {quota}, expected {start} - {charged}")
    return wrong


def _tokens(database: Path, limits: Mapping[int, int]) -> list[str]:
    query = """
        SELECT t.id, t.remain_quota, t.used_quota, COALESCE(SUM(l.quota), 0)
        FROM tokens t LEFT JOIN logs l ON l.user_id = t.user_id AND l.token_name = t.name AND l.type = ?
        GROUP BY t.id"""
    wrong = []
    for token, remain, used, charged in rows(database, query, CONSUME):
        if used != charged:
            wrong.append(f"token {token}: used_quota {used}, charged by log {charged}")
        start = limits.get(int(str(token)))
        if start is not None and remain != start - int(str(charged)):
            wrong.append(f"token {token}: remain_quota {remain}, expected {start} - {charged}")
    return wrong


def _channels(database: Path) -> list[str]:
    query = """
        SELECT c.id, c.used_quota, COALESCE(SUM(l.quota), 0)
        FROM channels c LEFT JOIN logs l ON l.channel_id = c.id AND l.type = ? GROUP BY c.id"""
    return [
        f"channel {channel}: used_quota {used}, charged by log {charged}"
        for channel, used, charged in rows(database, query, CONSUME)
        if used != charged
    ]
