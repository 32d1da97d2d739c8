"""The readers: a few threads with a connection of their own that cannot write."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from oneapi.store.db import connect, connection_in_use, transaction, translated, use

T = TypeVar("T")

THREADS = 3


class Readers:
    """Runs queries. Connections are opened when a thread first needs one."""

    def __init__(self, path: Path, *, busy_timeout_ms: int) -> None:
        self._path = path
        self._busy_timeout_ms = busy_timeout_ms
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="store-reader")
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []

    async def run(self, query: Callable[[], T]) -> T:
        """The result of ``query``, which sees one state of the database however many statements it runs."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._query, query)

    async def close(self) -> None:
        """Wait for running queries, close the connections."""
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)
        for connection in self._connections:
            connection.close()

    def _query(self, query: Callable[[], T]) -> T:
        connection = connection_in_use()
        if connection is None:
            connection = connect(self._path, busy_timeout_ms=self._busy_timeout_ms, read_only=True)
            use(connection)
            with self._lock:
                self._connections.append(connection)
        try:
            with transaction(connection, "BEGIN"):
                return query()
        except sqlite3.Error as exc:
            raise translated(exc) from exc
