"""The database as the rest of the program uses it: read, write, settle.

One thread writes, with group commit; readers have their own connections. The rest of the program uses the
repositories (``store.tokens``, ``store.users`` ...), which run their queries through ``read`` and ``submit``.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from oneapi.store import models
from oneapi.store.channels import Channels
from oneapi.store.db import StoreError, connect, connection, rows
from oneapi.store.index import Index
from oneapi.store.lock import Lock
from oneapi.store.logs import Logs
from oneapi.store.migrations import migrate
from oneapi.store.options import Options, default_ratios
from oneapi.store.reader import Readers
from oneapi.store.records import Settlement
from oneapi.store.redemptions import Redemptions
from oneapi.store.tokens import Tokens
from oneapi.store.users import Users
from oneapi.store.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """An open database with its writer, its readers and its index. Its methods belong to the event loop."""

    index: Index
    users: Users
    tokens: Tokens
    channels: Channels
    logs: Logs
    options: Options
    redemptions: Redemptions

    def __init__(self, lock: Lock, writer: Writer, readers: Readers) -> None:
        self._lock = lock
        self._writer = writer
        self._readers = readers
        self.index = Index()
        self.users = Users(self)
        self.tokens = Tokens(self)
        self.channels = Channels(self)
        self.logs = Logs(self)
        self.options = Options(self)
        self.redemptions = Redemptions(self)

    @classmethod
    async def open(cls, path: Path, *, busy_timeout_ms: int = 3000) -> Store:
        """Open or create ``path``, migrate it (with a backup when it is not ours), load the index.

        Raises StoreError when the file cannot be used, or another process uses it.
        """
        loop = asyncio.get_running_loop()
        lock, connection = await loop.run_in_executor(None, _prepare, path, busy_timeout_ms)
        store = cls(lock, Writer(connection), Readers(path, busy_timeout_ms=busy_timeout_ms))
        try:
            await store._load()
        except BaseException:
            await store.close()
            raise
        return store

    async def read(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``query`` in a reader thread, after all settlements so far are committed: one reads what one wrote.

        ``query`` reads from ``db.connection()`` and sees one state of the database. Raises StoreError.
        """
        if self._writer.behind:
            # When the disk is full, the operator must still be able to look.
            with suppress(StoreError):
                await self._writer.submit(None)
        return await self._readers.run(partial(query, *args, **kwargs))

    async def write(self, command: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``command`` in the writer thread, in a transaction; returns when it is committed.

        ``command`` uses ``db.connection()``. Raises DuplicateError, StoreError, and what ``command`` raises.
        """
        return await self._writer.submit(partial(command, *args, **kwargs))

    def submit(
        self,
        command: Callable[[], T],
        *,
        applied: Callable[[T], None] | None = None,
        failed: Callable[[], None] | None = None,
    ) -> asyncio.Future[T]:
        """Like ``write``, with what the result changes in memory.

        One of ``applied`` and ``failed`` runs on the loop before the future is done, in the order of the
        commits, and also when the waiting task was cancelled.
        """
        return self._writer.submit(command, applied, failed)

    def settle(self, settlement: Settlement) -> None:
        """Queue ``settlement`` for the next group commit. Never blocks, never fails, loop thread only."""
        self._writer.settle(settlement)

    async def flush(self) -> None:
        """Return when everything queued so far is committed. Raises StoreError when it cannot be."""
        await self._writer.submit(None)

    async def close(self) -> None:
        """Flush, checkpoint, close all connections."""
        await self._readers.close()
        await self._writer.close()
        await asyncio.get_running_loop().run_in_executor(None, self._lock.release)

    async def _load(self) -> None:
        collecting = gc.isenabled()
        gc.disable()  # all of this stays; looking through it again and again doubles the time
        try:
            users, tokens, channels, options, last = await self._readers.run(_everything)
            for user in users:
                self.index.put_user(user)
            for token in tokens:
                self.index.put_token(token)
            self.index.put_channels(channels)
            self.options.load(options)
        finally:
            if collecting:
                gc.enable()
        self.tokens.start_after(last["tokens"])
        self.channels.start_after(max(last["channels"], last["logs"]))


def _prepare(path: Path, busy_timeout_ms: int) -> tuple[Lock, sqlite3.Connection]:
    """Everything about opening that touches a disk, away from the event loop."""
    default_ratios()
    lock = Lock(path)
    try:
        migrate(path, busy_timeout_ms=busy_timeout_ms)
        return lock, connect(path, busy_timeout_ms=busy_timeout_ms)
    except BaseException:
        lock.release()
        raise


def _everything() -> tuple[Any, ...]:
    read = connection().execute
    last = {
        "tokens": read("SELECT COALESCE(MAX(id), 0) FROM tokens").fetchone()[0],
        "channels": read("SELECT COALESCE(MAX(id), 0) FROM channels").fetchone()[0],
        "logs": read("SELECT COALESCE(MAX(channel_id), 0) FROM logs").fetchone()[0],
    }
    return (
        [models.user(row) for row in rows(models.Users.select())],
        [models.token(row) for row in rows(models.Tokens.select())],
        [models.channel(row) for row in rows(models.Channels.select())],
        {key: value or "" for key, value in rows(models.Options.select())},
        last,
    )
