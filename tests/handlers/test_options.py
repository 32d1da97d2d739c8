"""Options: what is listed, what is refused before it is stored, and how it is applied."""

from typing import Any

import pytest

from tests.handlers.conftest import Client, Service


@pytest.fixture
async def root(service: Service) -> Client:
    return await service.root()


async def listed(client: Client) -> dict[str, str]:
    return {option["key"]: option["value"] for option in await client.data("GET", "/api/option/")}


async def put(client: Client, key: str, value: object) -> Any:
    return await client.ask("PUT", "/api/option/", {"key": key, "value": value})


async def test_all_options_are_listed_in_order_with_their_defaults(root: Client) -> None:
    options = await listed(root)
    assert list(options) == sorted(options)
    assert (options["RetryTimes"], options["QuotaPerUnit"], options["SystemName"]) == (
        "0",
        "500000",
        "One API",
    )
    assert options["GroupRatio"] == '{"default":1,"svip":1,"vip":1}'


@pytest.mark.parametrize(
    "key", ["SMTPToken", "GitHubClientSecret", "OidcClientSecret", "TurnstileSecretKey", "WeChatServerToken"]
)
async def test_secrets_are_stored_and_never_listed(service: Service, root: Client, key: str) -> None:
    assert (await put(root, key, "hush")).succeeded
    assert service.store.options.text(key) == "hush"
    answer = await root.ask("GET", "/api/option/")
    assert b"hush" not in answer.body
    assert key not in await listed(root)


@pytest.mark.parametrize(
    ("key", "value", "stored"),
    [
        ("RetryTimes", 3, "3"),
        ("RetryTimes", "-1", "-1"),
        ("ChannelDisableThreshold", 2.5, "2.5"),
        ("QuotaPerUnit", 250000.0, "250000"),
        ("RegisterEnabled", False, "false"),
        ("MyOwnKey", "anything <b>", "anything <b>"),
        ("MyOwnEnabled", "perhaps", "perhaps"),
        ("Notice", "", ""),
        ("ModelRatio", '{"m": 1.5, "openrouter/auto": -500000}', '{"m": 1.5, "openrouter/auto": -500000}'),
        ("Theme", "berry", "berry"),
    ],
)
async def test_numbers_and_booleans_are_taken_as_text(
    root: Client, key: str, value: object, stored: str
) -> None:
    assert (await put(root, key, value)).succeeded
    assert (await listed(root))[key] == stored


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("RetryTimes", "many"),
        ("RetryTimes", ""),
        ("RetryTimes", "1.5"),
        ("QuotaPerUnit", "0"),
        ("QuotaPerUnit", "nan"),
        ("ChannelDisableThreshold", "soon"),
        ("RegisterEnabled", "yes"),
        ("GroupRatio", "nonsense"),
        ("GroupRatio", "[1]"),
        ("GroupRatio", '{"default": "1"}'),
        ("ModelRatio", '{"m": true}'),
        ("Theme", "neon"),
        ("GitHubOAuthEnabled", "true"),
        ("WeChatAuthEnabled", "true"),
        ("TurnstileCheckEnabled", True),
    ],
)
async def test_what_could_not_be_applied_is_not_stored(root: Client, key: str, value: object) -> None:
    before = await listed(root)
    answer = await put(root, key, value)
    assert (answer.status, answer.json["success"]) == (200, False)
    assert answer.json["message"]
    assert await listed(root) == before


@pytest.mark.parametrize(
    ("key", "needed", "message"),
    [
        (
            "GitHubOAuthEnabled",
            "GitHubClientId",
            "无法启用 GitHub OAuth，请先填入 GitHub Client Id 以及 GitHub Client Secret！",
        ),
        ("WeChatAuthEnabled", "WeChatServerAddress", "无法启用微信登录，请先填入微信登录相关配置信息！"),
        (
            "TurnstileCheckEnabled",
            "TurnstileSiteKey",
            "无法启用 Turnstile 校验，请先填入 Turnstile 校验相关配置信息！",
        ),
        (
            "EmailDomainRestrictionEnabled",
            "EmailDomainWhitelist",
            "无法启用邮箱域名限制，请先填入限制的邮箱域名！",
        ),
    ],
)
async def test_a_check_is_switched_on_only_when_what_it_needs_is_there(
    root: Client, key: str, needed: str, message: str
) -> None:
    await put(root, needed, "")
    assert (await put(root, key, "true")).json["message"] == message
    await put(root, needed, "something")
    assert (await put(root, key, "true")).succeeded
    assert (await listed(root))[key] == "true"


@pytest.mark.parametrize(
    "body", [b"{", b'{"key": 5, "value": "x"}', b'{"key": "Notice", "value": []}', b'{"value": "x"}']
)
async def test_a_body_that_cannot_be_read_is_a_400(root: Client, body: bytes) -> None:
    answer = await root.ask("PUT", "/api/option/", body, headers={"Accept-Language": "zh"})
    assert (answer.status, answer.json) == (400, {"message": "无效的参数", "success": False})


async def test_the_groups_are_those_that_have_a_ratio(root: Client) -> None:
    assert await root.data("GET", "/api/group/") == ["default", "svip", "vip"]
    await put(root, "GroupRatio", '{"gold": 0.5, "default": 1}')
    assert await root.data("GET", "/api/group/") == ["default", "gold"]
