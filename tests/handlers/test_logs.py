"""The log as administrators and users read it."""

from dataclasses import replace
from typing import Any

import pytest

from oneapi.handlers.log_rows import log_row
from oneapi.store.records import LOG_CONSUME, LOG_MANAGE, LOG_TOPUP
from tests.handlers.conftest import People, Service

ROW = replace(
    log_row(
        LOG_CONSUME, "倍率：1.00", "2026", user_id=2, username="alice", quota=10, model_name="m", channel=1
    ),
    prompt_tokens=3,
    completion_tokens=4,
    token_name="k",
)
NOW = ROW.created_at


@pytest.fixture(autouse=True)
async def _rows(service: Service, people: People) -> None:
    await service.store.logs.insert(
        [
            ROW,
            replace(ROW, model_name="other", quota=5, channel=2, token_name="k2", created_at=NOW - 100),
            replace(ROW, user_id=3, username="ada", quota=100),
            replace(ROW, type=LOG_TOPUP, content="bank transfer", quota=1000),
            replace(ROW, type=LOG_MANAGE, content="2 for you", user_id=3, username="ada", quota=0),
        ]
    )


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in rows]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("type=2", [3, 2, 1]),
        ("type=abc&p=x&channel=", [5, 4, 3, 2, 1]),
        ("username=ada", [5, 3]),
        ("type=2&token_name=k2", [2]),
        ("model_name=other", [2]),
        ("channel=2", [2]),
        (f"start_timestamp={NOW}", [5, 4, 3, 1]),
        (f"end_timestamp={NOW - 100}", [2]),
        (f"start_timestamp={NOW - 100}&end_timestamp={NOW - 100}", [2]),
        (f"start_timestamp={NOW + 3600}", []),
        ("p=1", []),
        ("page_size=2&p=1", [3, 2]),
        ("model_name=%25", []),
    ],
)
async def test_administrators_filter_all_rows(people: People, query: str, expected: list[int]) -> None:
    assert ids(await people.admin.data("GET", f"/api/log/?{query}")) == expected


async def test_a_row_has_all_its_fields_in_order(people: People) -> None:
    (row,) = await people.admin.data("GET", "/api/log/?channel=2")
    assert row == {
        "id": 2,
        "user_id": 2,
        "created_at": NOW - 100,
        "type": 2,
        "content": "倍率：1.00",
        "username": "alice",
        "token_name": "k2",
        "model_name": "other",
        "quota": 5,
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "channel": 2,
        "request_id": "2026",
        "elapsed_time": 0,
        "is_stream": False,
        "system_prompt_reset": False,
    }
    assert list(row)[:5] == ["id", "user_id", "created_at", "type", "content"]


async def test_users_see_their_own_rows_with_their_real_ids(people: People) -> None:
    assert ids(await people.user.data("GET", "/api/log/self")) == [4, 2, 1]
    assert ids(await people.user.data("GET", "/api/log/self?username=ada")) == [4, 2, 1]
    assert ids(await people.user.data("GET", "/api/log/self?type=2&model_name=other")) == [2]


async def test_rows_are_found_by_type_and_by_the_beginning_of_their_text(people: People) -> None:
    assert ids(await people.admin.data("GET", "/api/log/search?keyword=2")) == [5, 3, 2, 1]
    assert ids(await people.admin.data("GET", "/api/log/search?keyword=bank")) == [4]
    assert ids(await people.user.data("GET", "/api/log/self/search?keyword=2")) == [2, 1]
    assert ids(await people.user.data("GET", "/api/log/self/search?keyword=bank")) == [4]


@pytest.mark.parametrize(
    ("query", "everybody", "own"),
    [
        ("", 115, 15),
        ("type=1", 115, 15),
        ("model_name=other", 5, 5),
        ("channel=1", 110, 10),
        ("token_name=k2", 5, 5),
        ("username=ada", 100, 15),
    ],
)
async def test_sums_are_over_consumption_and_ones_own_by_id(
    service: Service, people: People, query: str, everybody: int, own: int
) -> None:
    await service.store.users.update(2, {"username": "renamed"})
    assert await people.admin.data("GET", f"/api/log/stat?{query}") == {"quota": everybody}
    assert await people.user.data("GET", f"/api/log/self/stat?{query}") == {"quota": own}


async def test_the_dashboard_sums_the_own_use_by_day_and_model(people: People) -> None:
    rows = await people.user.data("GET", "/api/user/dashboard")
    assert sum(row["Quota"] for row in rows) == 15
    (other,) = [row for row in rows if row["ModelName"] == "other"]
    assert {**other, "Day": ""} == {
        "Day": "",
        "ModelName": "other",
        "RequestCount": 1,
        "Quota": 5,
        "PromptTokens": 3,
        "CompletionTokens": 4,
    }
    assert await people.root.data("GET", "/api/user/dashboard") is None


async def test_rows_are_deleted_up_to_a_time_that_must_be_named(people: People) -> None:
    for query in ("", "?target_timestamp=0", "?target_timestamp=x"):
        assert await people.admin.refusal("DELETE", f"/api/log/{query}") == "target timestamp is required"
    assert await people.admin.data("DELETE", f"/api/log/?target_timestamp={NOW}") == 1
    assert await people.admin.data("DELETE", f"/api/log/?target_timestamp={NOW + 1}") == 4
    assert await people.admin.data("GET", "/api/log/") == []
