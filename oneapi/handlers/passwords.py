"""Password hashes, as One API stores them: bcrypt, cost 10, ``$2a$``."""

import asyncio

import bcrypt

from oneapi import tasks

COST = 10
# bcrypt itself never looks further. Passwords have at most 20 characters, so only long ones of four-byte
# characters are cut, and they are cut alike when they are set and when they are checked.
MAX_BYTES = 72
# What the password for an unknown name is compared with: nothing known has this hash, but it takes as long.
_NOBODY = "$2a$10$oBI6faEQ6eya7FRyKW8.Ju0W24pu67fJIqByYe2LEZAaeTNXCuSp."
_AT_ONCE = 2


class Passwords:
    """Hashes in threads, few at a time: log-ins must not take the processors from the relay."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str) -> str:
        """What to store for ``password``."""
        async with self._slots:
            return await tasks.run_blocking(_hash, password)

    async def matches(self, password: str, stored: str) -> bool:
        """Whether ``stored`` is a hash of ``password``. ``""`` (nobody) takes as long and never matches."""
        async with self._slots:
            return await tasks.run_blocking(_matches, password, stored or _NOBODY) and bool(stored)


def _hash(password: str) -> str:
    return bcrypt.hashpw(password.encode()[:MAX_BYTES], bcrypt.gensalt(COST, prefix=b"2a")).decode()


def _matches(password: str, stored: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode()[:MAX_BYTES], stored.encode())
    except ValueError:
        # Not a bcrypt hash: nobody can log in with it.
        return False
