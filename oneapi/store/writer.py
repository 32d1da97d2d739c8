"""The only thread that writes: settlements in group commits, and commands between them, in the order queued.

The event loop appends settlements to a list and hands the list over after ``COLLECT_S`` or ``COLLECT_MAX``
settlements, whichever is first; the thread writes all lists that have piled up in one transaction. A
command first hands over what is collected, so it runs after everything that was settled before it.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

from oneapi.store import settlements
from oneapi.store.db import StoreError, transaction, translated, use
from oneapi.store.records import Settlement

T = TypeVar("T")
log = logging.getLogger(__name__)

COLLECT_S = 0.015  # with the commit itself, a charge is on disk within 20 ms
COLLECT_MAX = 500
MERGE_MAX = 2000  # how much a writer that fell behind puts into one transaction
RETRY_S = 0.5
LAST_TRIES = 3  # at shutdown, when the disk does not take the last settlements

# Wrong values in a settlement, in contrast to a disk or a file that does not work at the moment.
_BAD_VALUES = (
    TypeError,
    ValueError,  # text that is not Unicode is one of these
    OverflowError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
)


@dataclass(slots=True)
class _Command:
    """``run`` None is a barrier. ``applied`` and ``failed`` run on the loop even when nobody waits."""

    run: Callable[[], Any] | None
    future: asyncio.Future[Any]
    applied: Callable[[Any], None] | None
    failed: Callable[[], None] | None


class _Stop:
    """Ends the thread."""


_Job: TypeAlias = list[Settlement] | _Command | _Stop


class Writer:
    """Owns ``connection`` from ``start`` on. All methods belong to the event loop's thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._collected: list[Settlement] = []
        self._timer: asyncio.TimerHandle | None = None
        self._handed_over = 0  # lists; only the loop changes it
        self._written = 0  # lists; only the thread changes it
        self._closed = False
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._ahead: deque[_Job] = deque()  # taken from the queue too early; thread only
        self._failing = False
        self._tries_left: int | None = None
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def settle(self, settlement: Settlement) -> None:
        """Queue a settlement."""
        collected = self._collected
        collected.append(settlement)
        if len(collected) == 1:
            self._timer = self._loop.call_later(COLLECT_S, self._hand_over)
        elif len(collected) >= COLLECT_MAX:
            self._hand_over()

    @property
    def behind(self) -> bool:
        """Whether something settled is not committed yet."""
        return bool(self._collected) or self._written != self._handed_over

    def submit(
        self,
        run: Callable[[], T] | None,
        applied: Callable[[T], None] | None = None,
        failed: Callable[[], None] | None = None,
    ) -> asyncio.Future[T]:
        """Queue ``run`` for a transaction of its own.

        ``applied`` gets its result, or ``failed`` is called, on the loop before the future is done, and
        also when the waiting task was cancelled: memory follows the database in any case. Raises StoreError
        when closed.
        """
        if self._closed:
            raise StoreError("the database is closed")
        self._hand_over()
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Command(run, future, applied, failed))
        return future

    async def close(self) -> None:
        """Write what is queued, checkpoint, close the connection and end the thread."""
        if self._closed:
            return
        self._hand_over()
        self._closed = True
        self._jobs.put(_Stop())
        await self._loop.run_in_executor(None, self._thread.join)

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._collected:
            if self._closed:
                log.error("settlements after the database was closed count=%d", len(self._collected))
            self._jobs.put(self._collected)
            self._handed_over += 1
            self._collected = []

    def _finish(self, command: _Command, result: Any, failure: Exception | None) -> None:
        if failure is None:
            if command.applied is not None:
                command.applied(result)
            if not command.future.done():
                command.future.set_result(result)
        else:
            if command.failed is not None:
                command.failed()
            if not command.future.done():
                command.future.set_exception(failure)

    # What follows runs in the writer's thread.

    def _run(self) -> None:
        use(self._connection)
        while not isinstance(job := self._next(), _Stop):
            if isinstance(job, _Command):
                self._execute(job)
            else:
                self._settle(job)
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as exc:
            log.warning("the write-ahead log stays beside the database: %s", exc)
        self._connection.close()

    def _next(self) -> _Job:
        return self._ahead.popleft() if self._ahead else self._jobs.get()

    def _execute(self, command: _Command) -> None:
        result: Any = None
        failure: Exception | None = None
        try:
            if command.run is not None:
                with transaction(self._connection):
                    result = command.run()
        except sqlite3.Error as exc:
            failure = translated(exc)
            failure.__cause__ = exc
        except Exception as exc:  # noqa: BLE001  whatever it is, it belongs to the one who waits
            failure = exc
        self._loop.call_soon_threadsafe(self._finish, command, result, failure)

    def _settle(self, batch: list[Settlement]) -> None:
        lists = 1
        while len(batch) < MERGE_MAX and not self._jobs.empty():
            job = self._jobs.get()
            if not isinstance(job, list):
                self._ahead.append(job)
                break
            batch.extend(job)
            lists += 1
        while not self._commit(batch):
            if self._tries_left == 0:
                log.error("settlements could not be written before the end count=%d", len(batch))
                return
            lists += self._wait_out(batch)
        self._written += lists

    def _commit(self, batch: list[Settlement]) -> bool:
        """Whether ``batch`` is settled now; if not, it holds what is left to settle."""
        try:
            with transaction(self._connection):
                settlements.apply(self._connection, batch)
        except _BAD_VALUES:
            return self._commit_one_by_one(batch)
        except sqlite3.Error as exc:
            if not self._failing:
                self._failing = True
                # A trace would say nothing that the text does not (TRY400).
                log.error("charges cannot be written, they wait in memory: %s", exc)  # noqa: TRY400
            return False
        if self._failing:
            self._failing = False
            log.warning("charges are written again count=%d", len(batch))
        return True

    def _commit_one_by_one(self, batch: list[Settlement]) -> bool:
        """One settlement has a value that no column can take: it must not hold up the others."""
        if len(batch) == 1 and batch[0].log is None:
            lost = batch[0]
            log.error(
                "a charge cannot be stored user_id=%d token_id=%d channel_id=%d",
                lost.user_id,
                lost.token_id,
                lost.channel_id,
            )
            return True
        if len(batch) == 1:
            log.error("a log row cannot be stored user_id=%d", batch[0].user_id)
            return self._commit([replace(batch[0], log=None)])
        while batch:
            if not self._commit(batch[:1]):
                return False
            del batch[0]
        return True

    def _wait_out(self, batch: list[Settlement]) -> int:
        """Wait before the next try; collect settlements, refuse commands. How many lists were collected."""
        lists = 0
        again_at = time.monotonic() + RETRY_S
        if self._tries_left is not None:
            self._tries_left -= 1
        while (left_s := again_at - time.monotonic()) > 0:
            try:
                job = self._ahead.popleft() if self._ahead else self._jobs.get(timeout=left_s)
            except Empty:
                break
            if isinstance(job, list):
                batch.extend(job)
                lists += 1
            elif isinstance(job, _Command):
                refusal = StoreError("the database cannot be written at the moment")
                self._loop.call_soon_threadsafe(self._finish, job, None, refusal)
            else:
                self._ahead.append(job)
                if self._tries_left is None:
                    self._tries_left = LAST_TRIES
                time.sleep(left_s / LAST_TRIES)
                break
        return lists
