"""Who may call what: every route of the table, asked by everybody."""

from collections.abc import Iterator

import pytest

from oneapi.handlers.routes import API
from oneapi.store.records import ROLE_ADMIN, ROLE_ROOT, ROLE_USER
from tests.handlers.conftest import Client, People, Service

NOT_LOGGED_IN = "无权进行此操作，未登录且未提供 access token"
TOO_LOW = "无权进行此操作，权限不足"
BANNED = "用户已被封禁"
BAD_TOKEN = "无权进行此操作，access token 无效"


def routes() -> Iterator[tuple[str, str, int]]:
    """Method, path and least role of every endpoint."""
    for path, ways in API.items():
        for method, endpoint in ways.items():
            yield method, path.replace(":id", "999999"), endpoint.role


PROTECTED = [(method, path, role) for method, path, role in routes() if role]


@pytest.mark.parametrize(("method", "path", "role"), PROTECTED)
async def test_route_is_open_to_its_role_and_closed_to_everybody_below(
    service: Service, people: People, method: str, path: str, role: int
) -> None:
    answer = await service.anonymous().ask(method, path)
    assert (answer.status, answer.json) == (401, {"message": NOT_LOGGED_IN, "success": False})
    assert (await people.disabled.ask(method, path)).json == {"message": BANNED, "success": False}
    wrong_token = await service.anonymous(Authorization="Bearer nonsense").ask(method, path)
    assert (wrong_token.status, wrong_token.json) == (200, {"message": BAD_TOKEN, "success": False})
    for client, own_role in ((people.user, ROLE_USER), (people.admin, ROLE_ADMIN), (people.root, ROLE_ROOT)):
        answer = await client.ask(method, path)
        refused = answer.json.get("message") == TOO_LOW
        assert refused == (own_role < role), (own_role, answer)
        assert answer.status in ((200,) if refused else (200, 400)), answer
        if refused:
            assert answer.json == {"message": TOO_LOW, "success": False}


def test_the_roles_of_all_routes_are_what_the_contract_says() -> None:
    by_role: dict[int, set[str]] = {}
    for method, path, role in routes():
        by_role.setdefault(role, set()).add(f"{method} {path}")
    assert by_role[0] == {
        "GET /api/status",
        "GET /api/notice",
        "GET /api/about",
        "GET /api/home_page_content",
        "POST /api/user/login",
        "GET /api/user/logout",
    }
    assert by_role[ROLE_ROOT] == {"GET /api/option", "PUT /api/option"}
    assert {route.split("/")[2].split("?")[0] for route in by_role[ROLE_ADMIN]} == {
        "user",
        "topup",
        "group",
        "channel",
        "log",
        "redemption",
    }


async def test_a_deleted_user_is_locked_out_with_cookie_and_access_token(service: Service) -> None:
    client = await service.log_in_new("alice")
    token = await client.data("GET", "/api/user/token")
    await client.data("DELETE", "/api/user/self")
    assert await client.refusal("GET", "/api/user/self") == BANNED
    assert await service.anonymous(Authorization=token).refusal("GET", "/api/user/self") == BANNED


async def test_a_new_role_counts_at_once_in_an_open_session(service: Service) -> None:
    client = await service.log_in_new("ada", ROLE_ADMIN)
    await client.data("GET", "/api/user/")
    await service.store.users.update(2, {"role": ROLE_USER})
    assert await client.refusal("GET", "/api/user/") == TOO_LOW


async def test_a_banned_user_loses_the_cookie_together_with_the_session(service: Service) -> None:
    client = await service.log_in_new("alice")
    root = await service.root()
    await root.data("POST", "/api/user/manage", {"username": "alice", "action": "disable"})
    assert await client.refusal("GET", "/api/user/self") == BANNED
    assert (await client.ask("GET", "/api/user/self")).status == 401


async def test_a_session_wins_over_an_access_token_that_does_not_work(service: Service) -> None:
    client = await service.log_in_new("alice")
    answer = await client.ask("GET", "/api/user/self", headers={"Authorization": "wrong"})
    assert answer.json["data"]["username"] == "alice"


@pytest.mark.parametrize("prefix", ["", "Bearer "])
async def test_an_access_token_works_with_and_without_bearer(service: Service, prefix: str) -> None:
    client = await service.log_in_new("alice")
    first = await client.data("GET", "/api/user/token")
    script = service.anonymous(Authorization=prefix + first)
    assert (await script.data("GET", "/api/user/self"))["username"] == "alice"
    await client.data("GET", "/api/user/token")
    assert await script.refusal("GET", "/api/user/self") == BAD_TOKEN


@pytest.mark.parametrize(
    "path", ["/api/status", "/api/status/", "/api/token", "/api/token/", "/api/log/self/"]
)
async def test_paths_are_served_with_and_without_a_slash_at_the_end(service: Service, path: str) -> None:
    assert (await (await service.root()).ask("GET", path)).succeeded


async def test_a_link_on_a_foreign_page_cannot_use_the_cookie(service: Service) -> None:
    client = await service.log_in_new("alice")
    foreign = await client.ask("GET", "/api/user/token", headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status == 401
    assert (await client.ask("GET", "/api/user/token", headers={"Sec-Fetch-Site": "same-origin"})).succeeded


async def test_names_in_the_path_are_not_taken_for_ids(people: People) -> None:
    client: Client = people.admin
    assert await client.data("GET", "/api/token/search") == []
    assert await client.data("GET", "/api/log/self/search") == []
    assert isinstance(await client.data("GET", "/api/user/search?keyword="), list)
