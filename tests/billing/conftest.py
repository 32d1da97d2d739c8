"""A store with a rich user and a poor one, and the ledger over it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oneapi.billing.ledger import Ledger
from oneapi.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "one-api.db")
    await opened.users.insert(
        {"username": "ann", "password": "x", "quota": 1000, "access_token": "t1", "aff_code": "a1"}
    )
    await opened.tokens.insert({"user_id": 1, "key": "limited", "name": "limited", "remain_quota": 500})
    await opened.tokens.insert({"user_id": 1, "key": "open", "name": "open", "unlimited_quota": True})
    await opened.channels.insert([{"type": 1, "name": "up", "key": "sk", "models": "gpt-4o"}])
    yield opened
    await opened.close()


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)
