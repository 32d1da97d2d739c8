"""Users, and the balances that belong to them."""

from collections.abc import Mapping
from typing import Any

from oneapi.store.records import Log, User


class Users:
    """Queries and changes of ``users``. Every change reaches the index before its coroutine returns."""

    async def get(self, user_id: int) -> User | None:
        """Any user, deleted ones too."""
        raise NotImplementedError

    async def by_name(self, name: str) -> User | None:
        """By username, else by email: what a person types to log in."""
        raise NotImplementedError

    async def by_access_token(self, token: str) -> User | None:
        """By system access token (indexed look-up; "" finds nobody)."""
        raise NotImplementedError

    async def page(self, *, offset: int, limit: int, order: str = "") -> list[User]:
        """All but deleted ones; ``order`` is "" (id descending), "quota", "used_quota" or "request_count"."""
        raise NotImplementedError

    async def search(self, keyword: str, *, limit: int = 100) -> list[User]:
        """By id, or prefix of username, email or display name."""
        raise NotImplementedError

    async def insert(self, user: Mapping[str, Any], *, logs: tuple[Log, ...] = ()) -> User:
        """Store a new user and ``logs`` (their user_id and username are filled in) in one transaction.

        Raises DuplicateError when the name (or access token, aff code) is taken.
        """
        raise NotImplementedError

    async def update(self, user_id: int, changes: Mapping[str, Any], *, logs: tuple[Log, ...] = ()) -> User | None:
        """Write exactly the named columns and ``logs`` in one transaction. Raises DuplicateError.

        ``quota`` is a new balance; exchanges in flight settle on top of it.
        """
        raise NotImplementedError

    async def add_quota(self, user_id: int, quota: int, *, log: Log | None) -> None:
        """Add ``quota`` to the balance, with its log row, in one transaction. A missing user is no error."""
        raise NotImplementedError

    async def ensure_root(self, *, password_hash: str, access_token: str, token_key: str) -> bool:
        """Create ``root`` (contract 1.4) when there is no user at all; whether it did.

        ``token_key`` non-empty also creates the token ``Initial Root Token``.
        """
        raise NotImplementedError
