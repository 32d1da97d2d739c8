"""Redemption codes: made by administrators, used once by users."""

import asyncio
from typing import Any

import pytest

from tests.handlers.conftest import Client, People, Service


async def make(client: Client, **fields: Any) -> list[str]:
    keys: list[str] = await client.data(
        "POST", "/api/redemption/", {"name": "gift", "count": 1, "quota": 500, **fields}
    )
    return keys


async def test_codes_are_made_listed_and_found(people: People) -> None:
    keys = await make(people.admin, count=3)
    assert len(set(keys)) == 3
    assert all(len(key) == 32 for key in keys)
    rows = await people.admin.data("GET", "/api/redemption/")
    assert [row["id"] for row in rows] == [3, 2, 1]
    assert rows[0] == {
        "id": 3,
        "user_id": 3,
        "key": keys[2],
        "status": 1,
        "name": "gift",
        "quota": 500,
        "created_time": rows[0]["created_time"],
        "redeemed_time": 0,
        "count": 0,
    }
    await make(people.admin, name="other", quota=0)
    assert (await people.admin.data("GET", "/api/redemption/4"))["quota"] == 100
    assert [row["id"] for row in await people.admin.data("GET", "/api/redemption/search?keyword=gi")] == [
        1,
        2,
        3,
    ]
    assert [row["id"] for row in await people.admin.data("GET", "/api/redemption/search?keyword=4")] == [4]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "兑换码名称长度必须在1-20之间"),
        ({"name": "七个汉字就是廿一"}, "兑换码名称长度必须在1-20之间"),
        ({"count": 0}, "兑换码个数必须大于0"),
        ({"count": 101}, "一次兑换码批量生成的个数不能大于 100"),
    ],
    ids=str,
)
async def test_codes_that_cannot_be_are_refused(people: People, fields: dict[str, Any], message: str) -> None:
    body = {"name": "gift", "count": 1, "quota": 1, **fields}
    assert await people.admin.refusal("POST", "/api/redemption/", body) == message


async def test_a_code_adds_its_quota_once_however_often_it_is_sent(service: Service, people: People) -> None:
    (key,) = await make(people.admin)
    answers = await asyncio.gather(
        *(people.user.ask("POST", "/api/user/topup", {"key": key}) for _ in range(5))
    )
    assert sorted(answer.json["success"] for answer in answers) == [False] * 4 + [True]
    assert service.store.index.users[2].quota == 500
    assert (await people.user.data("GET", "/api/user/self"))["quota"] == 500
    (row,) = await people.user.data("GET", "/api/log/self?type=1")
    assert (row["content"], row["quota"], row["username"]) == ("通过兑换码充值 ＄0.001000 额度", 0, "alice")
    assert row["request_id"] in {answer.headers["x-oneapi-request-id"] for answer in answers}
    assert (await people.admin.data("GET", "/api/redemption/1"))["status"] == 3


async def test_a_code_that_does_not_work_is_refused(people: People) -> None:
    (key,) = await make(people.admin)
    await people.admin.data("PUT", "/api/redemption/?status_only=1", {"id": 1, "status": 2})
    for wrong, message in (
        (key, "兑换失败，该兑换码已被使用"),
        ("0" * 32, "兑换失败，无效的兑换码"),
        ("", "未提供兑换码"),
    ):
        assert await people.user.refusal("POST", "/api/user/topup", {"key": wrong}) == message


async def test_a_full_change_writes_name_and_quota_and_no_status(people: People) -> None:
    await make(people.admin)
    body = {"id": 1, "name": "changed", "quota": 777, "status": 2}
    changed = await people.admin.data("PUT", "/api/redemption/", body)
    assert (changed["name"], changed["quota"], changed["status"]) == ("changed", 777, 1)
    zeros = await people.admin.data("PUT", "/api/redemption/", {"id": 1})
    assert (zeros["name"], zeros["quota"]) == ("", 0)
    assert await people.admin.refusal("PUT", "/api/redemption/", {"id": 9}) == "record not found"
    assert await people.admin.refusal("PUT", "/api/redemption/", {"name": "x"}) == "id 为空！"


async def test_a_deleted_code_is_gone(people: People) -> None:
    await make(people.admin)
    await people.admin.data("DELETE", "/api/redemption/1")
    assert await people.admin.refusal("DELETE", "/api/redemption/1") == "record not found"
    assert await people.admin.refusal("DELETE", "/api/redemption/0") == "id 为空！"
    assert await people.admin.refusal("GET", "/api/redemption/0") == "id 为空！"
