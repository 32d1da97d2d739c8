"""Shortest rows and settlements for the store's tests."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from oneapi.store.records import LOG_CONSUME, Log, Settlement

NOW = 1_767_225_600  # 2026-01-01


def log(**fields: Any) -> Log:
    values: dict[str, Any] = {
        "id": 0,
        "user_id": 1,
        "created_at": NOW,
        "type": LOG_CONSUME,
        "content": "",
        "username": "",
        "token_name": "",
        "model_name": "",
        "quota": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "channel": 0,
        "request_id": "",
        "elapsed_time": 0,
        "is_stream": False,
        "system_prompt_reset": False,
    }
    return Log(**(values | fields))


def settlement(quota: int = 1, **fields: Any) -> Settlement:
    values: dict[str, Any] = {
        "user_id": 1,
        "token_id": 1,
        "token_unlimited": False,
        "channel_id": 1,
        "quota": quota,
        "requests": 1,
        "settled_at": NOW,
    }
    values |= fields
    if "log" not in values:
        values["log"] = log(user_id=values["user_id"], channel=values["channel_id"], quota=quota)
    return Settlement(**values)


def sql(path: Path, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What another program reads in the file (or does to it)."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(query, parameters).fetchall()
