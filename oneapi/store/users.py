"""Users, and the balances that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from peewee import fn

from oneapi.store import models
from oneapi.store.db import connection, execute, rows, starts_with
from oneapi.store.models import new_row
from oneapi.store.records import ROLE_ROOT, USER_DELETED, Log, Token, User
from oneapi.store.settlements import insert_logs
from oneapi.store.tokens import insert_row

if TYPE_CHECKING:
    from oneapi.store.store import Store

_USER = models.Users
_ORDERS = {
    "quota": _USER.quota.desc(),
    "used_quota": _USER.used_quota.desc(),
    "request_count": _USER.request_count.desc(),
}
ROOT_QUOTA = 500_000_000_000_000


class Users:
    """Queries and changes of ``users``. Every change reaches the index before its coroutine returns.

    A change of a balance is applied to memory when it is asked for, and to the database as the same
    difference: so both agree whatever is settled in between.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, user_id: int) -> User | None:
        """Any user, deleted ones too."""
        return await self._store.read(_first, _USER.id == user_id)

    async def by_name(self, name: str) -> User | None:
        """By username, else by email: what a person types to log in."""
        return await self._store.read(_by_name, name)

    async def by_access_token(self, token: str) -> User | None:
        """By system access token (indexed look-up; "" finds nobody)."""
        if not token:
            return None
        return await self._store.read(_first, _USER.access_token == token)

    async def page(self, *, offset: int, limit: int, order: str = "") -> list[User]:
        """All but deleted ones; ``order`` is "" (id descending), "quota", "used_quota" or "request_count"."""
        found = _USER.select().where((_USER.status.is_null()) | (_USER.status != USER_DELETED))
        ordered = (
            found.order_by(_ORDERS[order], _USER.id) if order in _ORDERS else found.order_by(_USER.id.desc())
        )
        return await self._store.read(_users, ordered.limit(limit).offset(offset))

    async def search(self, keyword: str, *, limit: int = 100) -> list[User]:
        """By id, or prefix of username, email or display name; by id."""
        found = (
            starts_with(_USER.username, keyword)
            | starts_with(_USER.email, keyword)
            | starts_with(_USER.display_name, keyword)
        )
        if (number := as_id(keyword)) is not None:
            found |= _USER.id == number
        return await self._store.read(_users, _USER.select().where(found).order_by(_USER.id).limit(limit))

    async def insert(self, user: Mapping[str, Any], *, logs: tuple[Log, ...] = ()) -> User:
        """Store a new user and ``logs`` (their user_id and username are filled in) in one transaction.

        Raises DuplicateError when the name (or access token, aff code) is taken.
        """
        return await self._store.submit(partial(_insert, user, logs), applied=self._store.index.put_user)

    async def update(
        self, user_id: int, changes: Mapping[str, Any], *, logs: tuple[Log, ...] = ()
    ) -> User | None:
        """Write exactly the named columns and ``logs`` in one transaction. Raises DuplicateError.

        ``quota`` is a new balance; exchanges in flight settle on top of it.
        """
        entry = self._store.index.users.get(user_id)
        if entry is None:
            return None
        others = {name: value for name, value in changes.items() if name != "quota"}
        added = changes["quota"] - entry.quota if "quota" in changes else 0
        entry.quota += added

        def undo() -> None:
            entry.quota -= added

        command = partial(_update, user_id, others, added, logs)
        return await self._store.submit(command, applied=self._updated, failed=undo)

    async def add_quota(self, user_id: int, quota: int, *, log: Log | None) -> None:
        """Add ``quota`` to the balance, with its log row, in one transaction. A missing user is no error."""
        entry = self._store.index.users.get(user_id)
        if entry is not None:
            entry.quota += quota

        def undo() -> None:
            if entry is not None:
                entry.quota -= quota

        logs = (log,) if log is not None else ()
        await self._store.submit(partial(_update, user_id, {}, quota, logs), failed=undo)

    async def ensure_root(self, *, password_hash: str, access_token: str, token_key: str) -> bool:
        """Create ``root`` (contract 1.4) when there is no user at all; whether it did.

        ``token_key`` non-empty also creates the token ``Initial Root Token``.
        """
        index, tokens = self._store.index, self._store.tokens
        if index.users:
            return False
        root = {
            "username": "root",
            "password": password_hash,
            "display_name": "Root User",
            "role": ROLE_ROOT,
            "access_token": access_token,
            "quota": ROOT_QUOTA,
        }
        root_token = {
            "id": tokens.next_id() if token_key else 0,
            "key": token_key,
            "name": "Initial Root Token",
            "remain_quota": ROOT_QUOTA,
            "unlimited_quota": True,
        }

        def created(made: tuple[User, Token | None]) -> None:
            index.put_user(made[0])
            if made[1] is not None:
                index.put_token(made[1])

        await self._store.submit(partial(_create_root, root, root_token), applied=created)
        return True

    def _updated(self, user: User | None) -> None:
        if user is not None:
            self._store.index.put_user(user)


def as_id(keyword: str) -> int | None:
    """``keyword`` as a number that a column can hold."""
    if keyword.isascii() and keyword.isdigit() and len(keyword) <= 18:
        return int(keyword)
    return None


def _users(query: Any) -> list[User]:
    return [models.user(row) for row in rows(query)]


def _first(condition: Any) -> User | None:
    found = _users(_USER.select().where(condition).order_by(_USER.id).limit(1))
    return found[0] if found else None


def _by_name(name: str) -> User | None:
    return _first(_USER.username == name) or (_first(_USER.email == name) if name else None)


def _insert(values: Mapping[str, Any], logs: tuple[Log, ...]) -> User:
    cursor = execute(_USER.insert(new_row(_USER, User, values)))
    user = _first(_USER.id == cursor.lastrowid)
    assert user is not None  # noqa: S101  it was stored in this transaction
    _insert_logs(user, logs)
    return user


def _create_root(root: Mapping[str, Any], token: Mapping[str, Any]) -> tuple[User, Token | None]:
    user = _insert(root, ())
    return user, insert_row({**token, "user_id": user.id}) if token["key"] else None


def _update(user_id: int, changes: Mapping[str, Any], added: int, logs: tuple[Log, ...]) -> User | None:
    written: dict[str, Any] = dict(changes)
    if added:
        written["quota"] = fn.COALESCE(_USER.quota, 0) + added
    if written:
        execute(_USER.update(written).where(_USER.id == user_id))
    user = _first(_USER.id == user_id)
    _insert_logs(user, logs)
    return user


def _insert_logs(user: User | None, logs: tuple[Log, ...]) -> None:
    if user is not None:
        logs = tuple(replace(log, user_id=user.id, username=user.username) for log in logs)
    insert_logs(connection(), logs)
