"""Tokens: the ``sk-`` credentials that we issue."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from peewee import fn

from oneapi.store import models
from oneapi.store.db import execute, rows, starts_with
from oneapi.store.index import TokenEntry
from oneapi.store.models import new_row
from oneapi.store.records import Token

if TYPE_CHECKING:
    from oneapi.store.store import Store

_TOKEN = models.Tokens
_ORDERS = {
    "remain_quota": (_TOKEN.unlimited_quota.desc(), _TOKEN.remain_quota.desc()),
    "used_quota": (_TOKEN.used_quota.desc(),),
}
_BALANCES = ("remain_quota", "used_quota")


class Tokens:
    """Queries and changes of ``tokens``. Every change reaches the index before its coroutine returns."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last_id = 0

    def start_after(self, token_id: int) -> None:
        """Give new tokens ids above ``token_id``.

        SQLite would give the id of a deleted token again, and an exchange in flight would charge its new
        owner.
        """
        self._last_id = token_id

    def next_id(self) -> int:
        """An id that no token has or had."""
        self._last_id += 1
        return self._last_id

    async def page(self, user_id: int, *, offset: int, limit: int, order: str = "") -> list[Token]:
        """A user's tokens; ``order`` is "" (id descending), "remain_quota" or "used_quota"."""
        order_by = _ORDERS.get(order, (_TOKEN.id.desc(),))
        found = _TOKEN.select().where(_TOKEN.user_id == user_id).order_by(*order_by)
        return await self._store.read(_tokens, found.limit(limit).offset(offset))

    async def search(self, user_id: int, keyword: str) -> list[Token]:
        """A user's tokens whose name starts with ``keyword``, by id."""
        found = _TOKEN.select().where((_TOKEN.user_id == user_id) & starts_with(_TOKEN.name, keyword))
        return await self._store.read(_tokens, found.order_by(_TOKEN.id))

    async def get(self, token_id: int, user_id: int) -> Token | None:
        """A user's own token."""
        return await self._store.read(_first, (_TOKEN.id == token_id) & (_TOKEN.user_id == user_id))

    async def insert(self, token: Mapping[str, Any]) -> Token:
        """Store a new token; absent columns get the defaults of the contract (also for 0 and "").

        Raises DuplicateError when the key is taken.
        """
        command = partial(insert_row, {**token, "id": self.next_id()})
        return await self._store.submit(command, applied=self._store.index.put_token)

    async def update(self, token_id: int, changes: Mapping[str, Any]) -> Token | None:
        """Write exactly the named columns, zeros included. None when there is no such token.

        ``remain_quota`` and ``used_quota`` are new balances; exchanges in flight settle on top of them.
        """
        entry = self._store.index.tokens_by_id.get(token_id)
        others, added = dict(changes), {}
        if entry is not None:
            added = {name: others.pop(name) - _balance(entry, name) for name in _BALANCES if name in others}
            _add(entry, added)

        def undo() -> None:
            if entry is not None:
                _add(entry, {name: -units for name, units in added.items()})

        command = partial(_update, token_id, others, added)
        return await self._store.submit(command, applied=self._updated, failed=undo)

    async def delete(self, token_id: int) -> bool:
        """Whether there was such a token."""

        def forget(_: bool) -> None:  # noqa: FBT001  the result of the command
            self._store.index.drop_token(token_id)

        return await self._store.submit(partial(_delete, token_id), applied=forget)

    def _updated(self, token: Token | None) -> None:
        if token is not None:
            self._store.index.put_token(token)


def _balance(entry: TokenEntry, name: str) -> int:
    return entry.remain if name == "remain_quota" else entry.used


def _add(entry: TokenEntry, added: Mapping[str, int]) -> None:
    entry.remain += added.get("remain_quota", 0)
    entry.used += added.get("used_quota", 0)


def _tokens(query: Any) -> list[Token]:
    return [models.token(row) for row in rows(query)]


def _first(condition: Any) -> Token | None:
    found = _tokens(_TOKEN.select().where(condition))
    return found[0] if found else None


def insert_row(values: Mapping[str, Any]) -> Token:
    """Store a token with the ``id`` in ``values``. In the writer's thread."""
    execute(_TOKEN.insert(new_row(_TOKEN, Token, values)))
    token = _first(_TOKEN.id == values["id"])
    assert token is not None  # noqa: S101  it was stored in this transaction
    return token


def _update(token_id: int, changes: Mapping[str, Any], added: Mapping[str, int]) -> Token | None:
    written: dict[str, Any] = dict(changes)
    for name, units in added.items():
        written[name] = fn.COALESCE(getattr(_TOKEN, name), 0) + units
    if written:
        execute(_TOKEN.update(written).where(_TOKEN.id == token_id))
    return _first(_TOKEN.id == token_id)


def _delete(token_id: int) -> bool:
    return execute(_TOKEN.delete().where(_TOKEN.id == token_id)).rowcount > 0
