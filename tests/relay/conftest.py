"""A store with users of each kind, and channels to choose among."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oneapi.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "one-api.db")
    for number, role in ((1, 1), (2, 10)):
        await opened.users.insert(
            {
                "username": f"user{number}",
                "password": "x",
                "role": role,
                "quota": 1000,
                "access_token": f"t{number}",
                "aff_code": f"a{number}",
            }
        )
        await opened.tokens.insert(
            {"user_id": number, "key": f"key{number}", "name": f"token{number}", "remain_quota": 500}
        )
    yield opened
    await opened.close()
