"""Users as administrators see and change them, and everybody's own account."""

from typing import Any

import pytest

from oneapi.store.records import ROLE_ADMIN, ROLE_ROOT, ROLE_USER, STATUS_DISABLED, USER_DELETED, User
from tests.handlers.conftest import Client, People, Service


async def stored(service: Service, user_id: int) -> User:
    user = await service.store.users.get(user_id)
    assert user is not None
    return user


# ------------------------------------------------ the own account


async def test_the_own_record_shows_neither_hash_nor_access_token(service: Service) -> None:
    client = await service.log_in_new("alice")
    answer = await client.ask("GET", "/api/user/self")
    user = await stored(service, 2)
    assert user.password.encode() not in answer.body
    assert user.access_token.encode() not in answer.body
    assert list(answer.json["data"])[:19] == [
        *("id", "username", "password", "display_name", "role", "status", "email", "github_id", "wechat_id"),
        *("lark_id", "oidc_id", "verification_code", "access_token", "quota", "used_quota", "request_count"),
        *("group", "aff_code", "inviter_id"),
    ]


async def test_one_changes_only_the_name_the_display_name_and_the_password_of_oneself(
    service: Service,
) -> None:
    client = await service.log_in_new("alice", quota=7)
    given = {
        "display_name": "Alice A.",
        "role": 100,
        "quota": 5000,
        "group": "vip",
        "status": 2,
        "email": "x@y",
    }
    await client.data("PUT", "/api/user/self", given)
    user = await stored(service, 2)
    assert (user.display_name, user.username, user.role) == ("Alice A.", "alice", ROLE_USER)
    assert (user.quota, user.group, user.status, user.email) == (7, "default", 1, "")
    await client.data("PUT", "/api/user/self", {"username": "", "password": "", "display_name": ""})
    assert (await stored(service, 2)).username == "alice"
    assert (await stored(service, 2)).display_name == ""
    await client.data("PUT", "/api/user/self", {})


@pytest.mark.parametrize(
    "body",
    [
        {"password": "1234567"},
        {"password": "p" * 21},
        {"username": "a" * 13},
        {"display_name": "d" * 21},
        {"username": "root"},
    ],
    ids=str,
)
async def test_a_value_that_does_not_fit_is_refused_and_nothing_is_written(
    service: Service, body: dict[str, Any]
) -> None:
    client = await service.log_in_new("alice")
    before = await stored(service, 2)
    assert await client.refusal("PUT", "/api/user/self", {"display_name": "new", **body})
    assert await stored(service, 2) == before


async def test_twelve_wide_characters_are_a_name(service: Service) -> None:
    client = await service.log_in_new("alice")
    await client.data("PUT", "/api/user/self", {"username": "一二三四五六七八九十甲乙"})
    assert (await client.data("GET", "/api/user/self"))["username"] == "一二三四五六七八九十甲乙"


async def test_a_deleted_account_gives_its_name_free_and_keeps_its_row(service: Service) -> None:
    client = await service.log_in_new("alice", email="alice@example.com")
    await client.data("DELETE", "/api/user/self")
    user = await stored(service, 2)
    assert user.username.startswith("deleted_")
    assert len(user.username) == 40
    assert (user.status, user.email) == (USER_DELETED, "alice@example.com")
    root = await service.root()
    await root.data("POST", "/api/user/", {"username": "alice", "password": "password1"})
    assert await root.refusal("DELETE", "/api/user/self") == "不能删除超级管理员账户"


async def test_an_invitation_code_is_made_once(service: Service) -> None:
    root = await service.root()
    code = await root.data("GET", "/api/user/aff")
    assert len(code) == 4
    assert code.isalnum()
    assert await root.data("GET", "/api/user/aff") == code


async def test_available_models_are_those_of_the_own_group(service: Service) -> None:
    client = await service.log_in_new("alice", group="vip")
    assert await client.data("GET", "/api/user/available_models") == []
    await service.store.channels.insert(
        [
            {"key": "k", "models": "b,a", "group": "default,vip"},
            {"key": "k", "models": "c", "group": "default"},
            {"key": "k", "models": "off", "group": "vip", "status": 2},
            {"key": "k", "models": "", "group": "vip"},
        ]
    )
    assert await client.data("GET", "/api/user/available_models") == ["a", "b"]


# ------------------------------------------------ lists


async def test_lists_and_searches_never_show_an_access_token(service: Service, people: People) -> None:
    for path in ("/api/user/", "/api/user/search?keyword="):
        rows = await people.admin.data("GET", path)
        assert [row["access_token"] + row["password"] for row in rows] == [""] * 4


async def test_users_are_found_by_id_and_by_the_beginning_of_names(people: People) -> None:
    async def found(keyword: str) -> list[str]:
        rows = await people.admin.data("GET", f"/api/user/search?keyword={keyword}")
        return [row["username"] for row in rows]

    assert await found("a") == ["alice", "ada"]
    assert await found("2") == ["alice"]
    assert await found("Root") == ["root"]
    assert await found("%25") == []
    assert await found("_") == []


@pytest.mark.parametrize("order", ["quota", "used_quota", "request_count"])
async def test_users_are_listed_by_what_they_have_most_of(service: Service, order: str) -> None:
    for name, value in (("low", 1), ("high", 10**15), ("mid", 50)):
        await service.person(name, **{order: value})
    root = await service.root()
    rows = await root.data("GET", f"/api/user/?order={order}")
    assert [row["username"] for row in rows if row["username"] != "root"] == ["high", "mid", "low"]
    assert [row["id"] for row in await root.data("GET", "/api/user/")] == [4, 3, 2, 1]


async def test_a_user_is_shown_to_those_above_and_root_to_itself(service: Service, people: People) -> None:
    await service.person("ada2", ROLE_ADMIN)
    assert (await people.admin.data("GET", "/api/user/2"))["username"] == "alice"
    for user_id in (1, 3, 5):
        assert await people.admin.refusal("GET", f"/api/user/{user_id}") == "无权获取同级或更高等级用户的信息"
        assert await people.root.data("GET", f"/api/user/{user_id}")
    assert await people.root.refusal("GET", "/api/user/0") == "id 为空！"
    assert await people.root.refusal("GET", "/api/user/99") == "record not found"


# ------------------------------------------------ creating


async def test_a_created_user_is_common_and_has_a_first_token(service: Service, people: People) -> None:
    body = {"username": "carl", "password": "password3", "role": 1, "quota": 777, "group": "vip", "status": 2}
    await people.admin.data("POST", "/api/user/", body)
    user = await stored(service, 5)
    assert (user.display_name, user.role, user.status, user.quota, user.group) == ("carl", 1, 1, 0, "default")
    assert len(user.access_token) == 32
    assert len(user.aff_code) == 4
    client = await Client(service.url).log_in("carl", "password3")
    (token,) = await client.data("GET", "/api/token/")
    assert (token["name"], token["unlimited_quota"], token["remain_quota"]) == ("default", True, -1)
    assert token["expired_time"] == -1


async def test_a_gift_for_new_users_is_credited_and_logged(service: Service, people: People) -> None:
    await service.store.options.put("QuotaForNewUser", "1000")
    await people.admin.data("POST", "/api/user/", {"username": "carl", "password": "password3"})
    assert (await stored(service, 5)).quota == 1000
    assert service.store.index.users[5].quota == 1000
    (row,) = await people.root.data("GET", "/api/log/?type=4")
    assert (row["content"], row["username"], row["user_id"]) == (
        "新用户注册赠送 ＄0.002000 额度",
        "carl",
        5,
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"username": "dora2"}, "invalid parameter"),
        ({"password": "password3"}, "invalid parameter"),
        ({"username": "x" * 13, "password": "password3"}, "Invalid input, please check your input"),
        ({"username": "x", "password": "short"}, "Invalid input, please check your input"),
        ({"username": "x", "password": "password3", "role": 10}, "无法创建权限大于等于自己的用户"),
        ({"username": "alice", "password": "password3"}, "用户名已被使用 (this user name is taken)"),
    ],
)
async def test_a_user_who_cannot_be_created_is_refused(
    service: Service, people: People, body: dict[str, Any], message: str
) -> None:
    assert await people.admin.refusal("POST", "/api/user/", body) == message
    assert await service.store.users.get(5) is None


# ------------------------------------------------ changing


async def test_a_change_writes_what_it_names_and_a_quota_of_zero(service: Service, people: People) -> None:
    await people.admin.data("PUT", "/api/user/", {"id": 2, "quota": 250000, "group": "vip", "email": "a@b.c"})
    await people.admin.data("PUT", "/api/user/", {"id": 2, "display_name": "Renamed", "password": ""})
    user = await stored(service, 2)
    assert (user.quota, user.group, user.email, user.display_name) == (250000, "vip", "a@b.c", "Renamed")
    assert service.store.index.users[2].group == "vip"
    await people.admin.data("PUT", "/api/user/", {"id": 2, "quota": 0, "email": "", "group": "", "status": 0})
    user = await stored(service, 2)
    assert (user.quota, user.email, user.group, user.status) == (0, "", "vip", 1)
    assert service.store.index.users[2].quota == 0


async def test_only_a_real_change_of_the_quota_is_logged(service: Service, people: People) -> None:
    for body in ({"quota": 250000}, {"quota": 250000}, {"display_name": "x"}, {"quota": 0}):
        await people.admin.data("PUT", "/api/user/", {"id": 2, **body})
    rows = await people.root.data("GET", "/api/log/?type=3")
    assert [row["content"] for row in rows] == [
        "管理员将用户额度从 ＄0.500000 额度修改为 ＄0.000000 额度",
        "管理员将用户额度从 ＄0.000000 额度修改为 ＄0.500000 额度",
    ]
    assert all(row["username"] == "alice" and row["user_id"] == 2 and row["request_id"] for row in rows)


async def test_nobody_sets_access_tokens_counters_or_foreign_logins(service: Service, people: People) -> None:
    before = await stored(service, 2)
    given = {
        "access_token": "z" * 32,
        "aff_code": "zzzz",
        "used_quota": 5,
        "request_count": 5,
        "inviter_id": 1,
        "github_id": "octocat",
        "oidc_id": "x",
        "lark_id": "x",
        "wechat_id": "x",
    }
    await people.root.data("PUT", "/api/user/", {"id": 2, **given})
    assert await stored(service, 2) == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"display_name": "x"}, "invalid parameter"),
        ({"id": 99, "display_name": "x"}, "record not found"),
        ({"id": 2, "password": "1234567"}, "Invalid input, please check your input"),
        ({"id": 5, "display_name": "x"}, "无权更新同权限等级或更高权限等级的用户信息"),
        ({"id": 3, "display_name": "x"}, "无权更新同权限等级或更高权限等级的用户信息"),
        ({"id": 1, "display_name": "x"}, "无权更新同权限等级或更高权限等级的用户信息"),
        ({"id": 2, "role": 10}, "无权将其他用户权限等级提升到大于等于自己的权限等级"),
        ({"id": 2, "role": 100}, "无权将其他用户权限等级提升到大于等于自己的权限等级"),
        ({"id": 2, "username": "dora"}, "用户名已被使用 (this user name is taken)"),
    ],
    ids=str,
)
async def test_an_administrator_changes_only_those_below(
    service: Service, people: People, body: dict[str, Any], message: str
) -> None:
    await service.person("ada2", ROLE_ADMIN)
    assert await people.admin.refusal("PUT", "/api/user/", body) == message


async def test_deleting_a_user_answers_the_envelope(service: Service, people: People) -> None:
    answer = await people.admin.ask("DELETE", "/api/user/2")
    assert answer.json == {"message": "", "success": True}
    first = await stored(service, 2)
    assert first.status == USER_DELETED
    await people.admin.data("DELETE", "/api/user/2")
    assert await stored(service, 2) == first
    assert [row["id"] for row in await people.root.data("GET", "/api/user/")] == [4, 3, 1]
    for user_id in (1, 3):
        refusal = await people.admin.refusal("DELETE", f"/api/user/{user_id}")
        assert refusal == "无权删除同权限等级或更高权限等级的用户"
    assert await people.root.refusal("DELETE", "/api/user/1") == "无权删除同权限等级或更高权限等级的用户"
    assert await people.root.refusal("DELETE", "/api/user/99") == "record not found"


# ------------------------------------------------ actions


async def manage(client: Client, name: str, action: str) -> Any:
    return (await client.ask("POST", "/api/user/manage", {"username": name, "action": action})).json


async def test_actions_change_role_and_status_and_answer_both_alone(service: Service, people: People) -> None:
    for action, role, status in (
        ("disable", ROLE_USER, STATUS_DISABLED),
        ("enable", ROLE_USER, 1),
        ("promote", ROLE_ADMIN, 1),
        ("demote", ROLE_USER, 1),
        ("dance", ROLE_USER, 1),
        ("delete", ROLE_USER, USER_DELETED),
    ):
        answer = await manage(people.root, "alice", action)
        shown = {name: value for name, value in answer["data"].items() if value}
        assert shown == {"role": role, "status": status}, action
        user = await stored(service, 2)
        assert (user.role, user.status) == (role, status)
        assert service.store.index.users[2].status == status


@pytest.mark.parametrize(
    ("who", "name", "action", "message"),
    [
        ("admin", "ghost", "disable", "用户不存在"),
        ("admin", "", "disable", "用户不存在"),
        ("admin", "alice@example.com", "disable", "用户不存在"),
        ("admin", "root", "disable", "无权更新同权限等级或更高权限等级的用户信息"),
        ("admin", "ada", "demote", "无权更新同权限等级或更高权限等级的用户信息"),
        ("admin", "alice", "promote", "普通管理员用户无法提升其他用户为管理员"),
        ("admin", "alice", "demote", "该用户已经是普通用户"),
        ("root", "ada", "promote", "该用户已经是管理员"),
        ("root", "root", "disable", "无法禁用超级管理员用户"),
        ("root", "root", "delete", "无法删除超级管理员用户"),
        ("root", "root", "demote", "无法降级超级管理员用户"),
    ],
)
async def test_an_action_that_may_not_be_is_refused(  # noqa: PLR0913  two fixtures
    service: Service, people: People, who: str, name: str, action: str, message: str
) -> None:
    await service.store.users.update(2, {"email": "alice@example.com"})
    client = people.root if who == "root" else people.admin
    assert await manage(client, name, action) == {"message": message, "success": False}
    assert (await stored(service, 1)).role == ROLE_ROOT


# ------------------------------------------------ topping up


async def test_topping_up_adds_to_the_balance_and_is_logged(service: Service, people: People) -> None:
    await people.admin.data("POST", "/api/topup", {"user_id": 2, "quota": 1500, "remark": "bank transfer"})
    await people.admin.data("POST", "/api/topup", {"user_id": 2, "quota": 250000})
    await service.store.options.put("DisplayInCurrencyEnabled", "false")
    await people.admin.data("POST", "/api/topup", {"user_id": 2, "quota": 42})
    assert (await stored(service, 2)).quota == service.store.index.users[2].quota == 251542
    rows = await people.user.data("GET", "/api/log/self?type=1")
    assert [(row["content"], row["quota"], row["username"]) for row in rows] == [
        ("通过 API 充值 42 点额度", 42, "alice"),
        ("通过 API 充值 ＄0.500000 额度", 250000, "alice"),
        ("bank transfer", 1500, "alice"),
    ]


async def test_a_negative_top_up_is_refused_and_one_for_nobody_is_only_logged(people: People) -> None:
    assert (
        await people.admin.refusal("POST", "/api/topup", {"user_id": 2, "quota": -1}) == "quota 不能为负数！"
    )
    await people.admin.data("POST", "/api/topup", {"user_id": 99, "quota": 5})
    (row,) = await people.admin.data("GET", "/api/log/?type=1")
    assert (row["user_id"], row["username"], row["quota"]) == (99, "", 5)


async def test_a_balance_cannot_grow_beyond_what_a_column_holds(service: Service, people: People) -> None:
    for _ in range(2):
        await people.admin.ask("POST", "/api/topup", {"user_id": 2, "quota": 10**17})
    assert (await stored(service, 2)).quota == service.store.index.users[2].quota == 10**17
