"""One process per database: balances live in memory, so a second process would spend them twice."""

import os
import sys
from pathlib import Path

from oneapi.store.db import StoreError

if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Lock:
    """Held from construction to ``release``; the system releases it when the process dies.

    It is a file of its own: closing any descriptor of the database itself would drop SQLite's own locks.
    """

    def __init__(self, database: Path) -> None:
        path = database.with_name(f"{database.name}.lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            self._held = True
        except OSError as exc:
            raise StoreError(
                f"the folder of the database {database} cannot be written: {exc.strerror}"
            ) from exc
        try:
            _take(self._descriptor)
        except OSError as exc:
            os.close(self._descriptor)
            raise StoreError(f"the database {database} is in use by another process") from exc

    def release(self) -> None:
        """Let the next process in."""
        if self._held:
            self._held = False
            os.close(self._descriptor)
