"""Redemption codes: each adds its quota to one user, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from peewee import fn

from oneapi.store import models
from oneapi.store.db import StoreError, connection, execute, rows, starts_with
from oneapi.store.models import new_row
from oneapi.store.records import LOG_TOPUP, REDEMPTION_USED, STATUS_ENABLED, Log, Redemption
from oneapi.store.settlements import insert_logs
from oneapi.store.users import as_id

if TYPE_CHECKING:
    from oneapi.store.store import Store

_CODE = models.Redemptions


class CodeUsedError(StoreError):
    """The code is used or disabled."""


class Redemptions:
    """Queries and changes of ``redemptions``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, *, offset: int, limit: int) -> list[Redemption]:
        """By id, descending."""
        return await self._store.read(
            _codes, _CODE.select().order_by(_CODE.id.desc()).limit(limit).offset(offset)
        )

    async def search(self, keyword: str) -> list[Redemption]:
        """By id, or prefix of the name; by id."""
        found = starts_with(_CODE.name, keyword)
        if (number := as_id(keyword)) is not None:
            found |= _CODE.id == number
        return await self._store.read(_codes, _CODE.select().where(found).order_by(_CODE.id))

    async def get(self, redemption_id: int) -> Redemption | None:
        """One code."""
        return await self._store.read(_first, _CODE.id == redemption_id)

    async def insert(self, redemptions: Sequence[Mapping[str, Any]]) -> list[Redemption]:
        """Store new codes in one transaction; absent columns get the defaults of the contract."""
        return await self._store.write(_insert, redemptions)

    async def update(self, redemption_id: int, changes: Mapping[str, Any]) -> Redemption | None:
        """Write exactly the named columns, zeros included. None when there is no such code."""
        return await self._store.write(_update, redemption_id, changes)

    async def delete(self, redemption_id: int) -> bool:
        """Whether there was such a code."""
        return await self._store.write(_delete, redemption_id)

    async def redeem(
        self, key: str, user_id: int, *, now: int, content: Callable[[int], str], request_id: str = ""
    ) -> int | None:
        """Add the code's quota to the user and mark the code used, in one transaction with its log row.

        ``content`` makes the text of that row from the quota, ``request_id`` is stored with it. The quota, or
        None when there is no such code. Raises CodeUsedError.
        """

        def applied(quota: int | None) -> None:
            entry = self._store.index.users.get(user_id)
            if entry is not None and quota is not None:
                entry.quota += quota

        command = partial(_redeem, key, _top_up(user_id, now, request_id), content)
        return await self._store.submit(command, applied=applied)


def _codes(query: Any) -> list[Redemption]:
    return [models.redemption(row) for row in rows(query)]


def _first(condition: Any) -> Redemption | None:
    found = _codes(_CODE.select().where(condition))
    return found[0] if found else None


def _insert(redemptions: Sequence[Mapping[str, Any]]) -> list[Redemption]:
    ids = [execute(_CODE.insert(new_row(_CODE, Redemption, code))).lastrowid for code in redemptions]
    return _codes(_CODE.select().where(_CODE.id.in_(ids)).order_by(_CODE.id))


def _update(redemption_id: int, changes: Mapping[str, Any]) -> Redemption | None:
    if changes:
        execute(_CODE.update(dict(changes)).where(_CODE.id == redemption_id))
    return _first(_CODE.id == redemption_id)


def _delete(redemption_id: int) -> bool:
    return execute(_CODE.delete().where(_CODE.id == redemption_id)).rowcount > 0


def _redeem(key: str, log: Log, content: Callable[[int], str]) -> int | None:
    code = _first(_CODE.key == key) if key else None
    if code is None:
        return None
    if code.status != STATUS_ENABLED:
        raise CodeUsedError(f"redemption code {code.id} has status {code.status}")
    execute(_CODE.update(status=REDEMPTION_USED, redeemed_time=log.created_at).where(_CODE.id == code.id))
    user = models.Users
    execute(user.update(quota=fn.COALESCE(user.quota, 0) + code.quota).where(user.id == log.user_id))
    names = rows(user.select(user.username).where(user.id == log.user_id))
    username = names[0][0] if names else ""
    insert_logs(connection(), [replace(log, username=username, content=content(code.quota))])
    return code.quota


def _top_up(user_id: int, now: int, request_id: str) -> Log:
    return Log(
        id=0,
        user_id=user_id,
        created_at=now,
        type=LOG_TOPUP,
        content="",
        username="",
        token_name="",
        model_name="",
        quota=0,
        prompt_tokens=0,
        completion_tokens=0,
        channel=0,
        request_id=request_id,
        elapsed_time=0,
        is_stream=False,
        system_prompt_reset=False,
    )
