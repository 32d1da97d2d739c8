"""Logging in, the cookie, and everything that ends a session."""

import base64
import time

import orjson
import pytest

from oneapi.config import Settings
from oneapi.handlers.passwords import Passwords
from oneapi.handlers.sessions import LIFETIME_S, Sessions
from oneapi.store.records import ROLE_ADMIN, STATUS_DISABLED
from tests.handlers.conftest import PASSWORD, ROOT_PASSWORD, Client, Service

WRONG = "用户名或密码错误，或用户已被封禁"


def login(name: object, password: object) -> dict[str, object]:
    return {"username": name, "password": password}


async def test_login_opens_a_session_and_shows_five_fields_only(service: Service) -> None:
    await service.person("alice", quota=500, email="alice@example.com")
    client = service.anonymous()
    data = await client.data("POST", "/api/user/login", login("alice", PASSWORD))
    shown = {name: value for name, value in data.items() if value}
    assert shown == {"id": 2, "username": "alice", "display_name": "alice", "role": 1, "status": 1}
    assert list(data)[:6] == ["id", "username", "password", "display_name", "role", "status"]
    assert (await client.data("GET", "/api/user/self"))["quota"] == 500


async def test_the_cookie_is_for_this_site_alone_and_out_of_reach_of_scripts(service: Service) -> None:
    await service.person("alice")
    answer = await service.anonymous().ask("POST", "/api/user/login", login("alice", PASSWORD))
    value, *attributes = answer.headers["set-cookie"].split("; ")
    assert value.startswith("session=")
    attributes = [attribute for attribute in attributes if not attribute.lower().startswith("expires=")]
    assert sorted(attributes) == ["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=Lax"]


@pytest.mark.parametrize(("proto", "secure"), [("https", True), ("http", False)])
async def test_the_cookie_is_secure_when_a_trusted_proxy_speaks_tls(
    service: Service, proto: str, secure: bool
) -> None:
    await service.person("alice")
    client = service.anonymous(**{"X-Forwarded-Proto": proto})
    answer = await client.ask("POST", "/api/user/login", login("alice", PASSWORD))
    assert ("Secure" in answer.headers["set-cookie"]) == secure


@pytest.mark.parametrize(
    "body",
    [
        login("alice", "wrong"),
        login("nobody", PASSWORD),
        login("dora", PASSWORD),
        login("alice", PASSWORD + " "),
    ],
    ids=["wrong password", "unknown name", "banned", "longer"],
)
async def test_a_failed_login_does_not_say_what_was_wrong(service: Service, body: dict[str, object]) -> None:
    await service.person("alice")
    await service.person("dora", status=STATUS_DISABLED)
    answer = await service.anonymous().ask("POST", "/api/user/login", body)
    assert answer.json == {"message": WRONG, "success": False}
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("", "invalid parameter"),
        ("en-US", "invalid parameter"),
        ("zh-CN,zh;q=0.9", "无效的参数"),
        ("ZH", "无效的参数"),
    ],
)
async def test_a_login_without_name_or_password_is_refused_in_the_clients_language(
    service: Service, language: str, message: str
) -> None:
    client = service.anonymous(**{"Accept-Language": language})
    wrong = (login("", PASSWORD), login("alice", ""), login(5, PASSWORD), login("alice", None))
    for body in (b"", b"{oops", b"[]", *wrong):
        assert await client.refusal("POST", "/api/user/login", body) == message


async def test_one_logs_in_by_email_too(service: Service) -> None:
    await service.person("alice", email="alice@example.com")
    client = await service.client("alice@example.com")
    assert (await client.data("GET", "/api/user/self"))["username"] == "alice"


async def test_login_by_password_can_be_switched_off(service: Service) -> None:
    await service.person("alice")
    await service.store.options.put("PasswordLoginEnabled", "false")
    message = await service.anonymous().refusal("POST", "/api/user/login", login("alice", PASSWORD))
    assert message == "管理员关闭了密码登录"


async def test_logout_ends_the_session_and_sets_no_cookie_without_one(service: Service) -> None:
    client = await service.log_in_new("alice")
    await client.data("GET", "/api/user/logout")
    assert (await client.ask("GET", "/api/user/self")).status == 401
    stranger = await service.anonymous().ask("GET", "/api/user/logout")
    assert stranger.succeeded
    assert "set-cookie" not in stranger.headers


@pytest.mark.parametrize("damage", ["tail", "payload", "other secret", "garbage", "empty"])
async def test_a_cookie_that_we_did_not_sign_is_no_session(service: Service, damage: str) -> None:
    client = await service.log_in_new("alice")
    name, _, value = client.cookie.partition("=")
    payload, _, mac = value.partition(".")
    client.cookie = (
        f"{name}="
        + {
            "tail": value[:-2],
            "payload": payload[:-2] + "AA." + mac,
            "other secret": Sessions(b"another secret").issue(2, "hash"),
            "garbage": "%%%.%%%",
            "empty": "",
        }[damage]
    )
    assert (await client.ask("GET", "/api/user/self")).status == 401


def test_a_cookie_is_worth_nothing_after_thirty_days(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(b"secret")
    cookie = sessions.issue(7, "hash")
    session = sessions.read(cookie)
    assert session is not None
    assert session.user_id == 7
    later = time.time() + LIFETIME_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert sessions.read(cookie) is None


def test_two_sessions_of_one_user_are_different() -> None:
    sessions = Sessions(b"secret")
    assert sessions.issue(7, "hash") != sessions.issue(7, "hash")


async def test_a_new_password_ends_the_other_sessions_and_keeps_the_own(service: Service) -> None:
    here = await service.log_in_new("alice")
    elsewhere = await service.client("alice")
    await here.data("PUT", "/api/user/self", {"password": "a new password"})
    assert (await here.ask("GET", "/api/user/self")).succeeded
    assert (await elsewhere.ask("GET", "/api/user/self")).status == 401
    assert await service.anonymous().refusal("POST", "/api/user/login", login("alice", PASSWORD)) == WRONG
    await Client(service.url).log_in("alice", "a new password")


async def test_a_password_that_an_administrator_sets_ends_all_sessions_of_its_user(service: Service) -> None:
    client = await service.log_in_new("alice")
    root = await service.root()
    await root.data("PUT", "/api/user/", {"id": 2, "password": "set by root"})
    assert (await client.ask("GET", "/api/user/self")).status == 401
    await Client(service.url).log_in("alice", "set by root")


async def test_the_first_password_of_root_must_be_changed(service: Service) -> None:
    client = service.anonymous()
    data = await client.data("POST", "/api/user/login", login("root", ROOT_PASSWORD))
    assert data["must_change_password"] is True
    assert (await client.data("GET", "/api/user/self"))["must_change_password"] is True
    await client.data("PUT", "/api/user/self", {"password": "better than that"})
    assert (await client.data("GET", "/api/user/self"))["must_change_password"] is False
    data = await service.anonymous().data("POST", "/api/user/login", login("root", "better than that"))
    assert data["must_change_password"] is False


async def test_sessions_survive_a_restart(service: Service, settings: Settings) -> None:
    client = await service.log_in_new("alice")
    reopened = Sessions(settings.session_secret.encode())
    assert reopened.read(client.cookie.partition("=")[2]) is not None


async def test_passwords_are_stored_as_the_reference_program_stores_them(service: Service) -> None:
    root = await service.root()
    await root.data("POST", "/api/user/", {"username": "new", "password": "password8"})
    user = await service.store.users.by_name("new")
    assert user is not None
    assert user.password.startswith("$2a$10$")
    assert len(user.password) == 60


async def test_a_password_of_twenty_four_byte_characters_works(service: Service) -> None:
    password = "🔑" * 20  # 80 bytes: more than bcrypt looks at
    root = await service.root()
    await root.data("POST", "/api/user/", {"username": "emoji", "password": password})
    await Client(service.url).log_in("emoji", password)


@pytest.mark.parametrize("stored", ["", "not a hash", "$2a$10$short"])
async def test_what_is_no_hash_never_matches(stored: str) -> None:
    assert await Passwords().matches("anything", stored) is False


async def test_a_user_without_a_password_cannot_log_in_with_one(service: Service) -> None:
    await service.person("github_2", password="")
    message = await service.anonymous().refusal("POST", "/api/user/login", login("github_2", "x"))
    assert message == WRONG


async def test_the_cookie_holds_neither_name_nor_hash(service: Service) -> None:
    client = await service.log_in_new("ada", ROLE_ADMIN)
    user = await service.store.users.by_name("ada")
    assert user is not None
    payload = client.cookie.partition("=")[2].partition(".")[0]
    text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    assert set(orjson.loads(text)) == {"id", "at", "pw", "nonce"}
    assert user.password.encode() not in text
