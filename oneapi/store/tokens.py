"""Tokens: the ``sk-`` credentials that we issue."""

from collections.abc import Mapping
from typing import Any

from oneapi.store.records import Token


class Tokens:
    """Queries and changes of ``tokens``. Every change reaches the index before its coroutine returns."""

    async def page(self, user_id: int, *, offset: int, limit: int, order: str = "") -> list[Token]:
        """A user's tokens; ``order`` is "" (id descending), "remain_quota" or "used_quota"."""
        raise NotImplementedError

    async def search(self, user_id: int, keyword: str) -> list[Token]:
        """A user's tokens whose name starts with ``keyword``, by id."""
        raise NotImplementedError

    async def get(self, token_id: int, user_id: int) -> Token | None:
        """A user's own token."""
        raise NotImplementedError

    async def insert(self, token: Mapping[str, Any]) -> Token:
        """Store a new token; absent columns get the defaults of the contract (also for 0 and "")."""
        raise NotImplementedError

    async def update(self, token_id: int, changes: Mapping[str, Any]) -> Token | None:
        """Write exactly the named columns, zeros included. None when there is no such token."""
        raise NotImplementedError

    async def delete(self, token_id: int) -> bool:
        """Whether there was such a token."""
        raise NotImplementedError
