"""A new store with a user, a token and a channel; a store on a copy of the reference program's database."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oneapi.store import Store

REFERENCE_DATABASE = Path(__file__).parent.parent / "fixtures" / "one-api-go.db"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one-api.db"


@pytest.fixture
def reference_path(path: Path) -> Path:
    shutil.copy(REFERENCE_DATABASE, path)
    return path


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(path)
    await opened.users.insert(
        {"username": "ann", "password": "x", "quota": 1000, "access_token": "t1", "aff_code": "a1"}
    )
    await opened.tokens.insert({"user_id": 1, "key": "k1", "name": "main", "remain_quota": 500})
    await opened.channels.insert([{"type": 1, "name": "up", "key": "sk", "models": "gpt-4o,gpt-4o-mini"}])
    yield opened
    await opened.close()


@pytest.fixture
async def reference(reference_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(reference_path)
    yield opened
    await opened.close()
