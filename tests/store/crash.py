"""Run as a program: settle without end until killed. What it was told by ``flush`` is printed."""

import asyncio
import sys
from pathlib import Path

from oneapi.store import Store
from tests.store.rows import settlement


async def main(path: Path) -> None:
    store = await Store.open(path)
    await store.users.insert({"username": "ann", "password": "x", "quota": 10**9})
    await store.tokens.insert({"user_id": 1, "key": "k1", "name": "main", "remain_quota": 10**9})
    await store.channels.insert([{"type": 1, "name": "up", "key": "sk", "models": "gpt-4o"}])
    settled = 0
    while True:
        for _ in range(37):
            store.settle(settlement(3))
        settled += 37
        if settled % (37 * 20) == 0:
            await store.flush()
            print(settled, flush=True)  # noqa: T201  the parent reads it
        else:
            await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
