"""The database as the rest of the program uses it: read, write, settle.

One thread writes, with group commit; readers have their own connections. The rest of the program uses the
repositories (``store.tokens``, ``store.users`` ...), which run their queries through ``read`` and ``write``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from oneapi.store.channels import Channels
from oneapi.store.index import Index
from oneapi.store.logs import Logs
from oneapi.store.options import Options
from oneapi.store.records import Settlement
from oneapi.store.tokens import Tokens
from oneapi.store.users import Users

P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """An open database with its writer, its readers and its index."""

    index: Index
    users: Users
    tokens: Tokens
    channels: Channels
    logs: Logs
    options: Options

    @classmethod
    async def open(cls, path: Path) -> "Store":
        """Open or create ``path``, migrate it (with a backup when it is not ours), load the index."""
        raise NotImplementedError

    async def read(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``query`` in a reader thread, after all settlements so far are committed: one reads what one wrote."""
        raise NotImplementedError

    async def write(self, command: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``command`` in the writer thread, in a transaction; returns when it is committed."""
        raise NotImplementedError

    def settle(self, settlement: Settlement) -> None:
        """Queue ``settlement`` for the next group commit. Never blocks, never fails, loop thread only."""
        raise NotImplementedError

    async def flush(self) -> None:
        """Return when everything queued so far is committed."""
        raise NotImplementedError

    async def close(self) -> None:
        """Flush, checkpoint, close all connections."""
        raise NotImplementedError
