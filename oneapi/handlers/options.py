"""The settings in the database, for root; and the groups that one of them defines."""

import math
import re

import orjson

from oneapi.handlers.base import Api, Refusal, done
from oneapi.handlers.fields import setting, text
from oneapi.store.options import Options
from oneapi.wire import Json

# Values that nobody reads back, not even root.
_SECRET_ENDINGS = ("Token", "Secret", "SecretKey")

_INTEGERS = (
    "RetryTimes",
    "QuotaForNewUser",
    "QuotaForInviter",
    "QuotaForInvitee",
    "QuotaRemindThreshold",
    "PreConsumedQuota",
    "SMTPPort",
)
_NUMBERS = ("ChannelDisableThreshold", "QuotaPerUnit")
_RATIOS = ("ModelRatio", "CompletionRatio", "GroupRatio")
_THEMES = ("default", "berry", "air")
# A log-in method or a check that would lock people out while the option it depends on is empty.
_NEEDED = {
    "GitHubOAuthEnabled": (
        "GitHubClientId",
        "无法启用 GitHub OAuth，请先填入 GitHub Client Id 以及 GitHub Client Secret！",
    ),
    "WeChatAuthEnabled": ("WeChatServerAddress", "无法启用微信登录，请先填入微信登录相关配置信息！"),
    "TurnstileCheckEnabled": (
        "TurnstileSiteKey",
        "无法启用 Turnstile 校验，请先填入 Turnstile 校验相关配置信息！",
    ),
    "EmailDomainRestrictionEnabled": (
        "EmailDomainWhitelist",
        "无法启用邮箱域名限制，请先填入限制的邮箱域名！",
    ),
}


async def get(api: Api) -> Json:
    """All options but secrets, by key."""
    values = sorted(api.store.options.values.items())
    return done([{"key": key, "value": value} for key, value in values if not key.endswith(_SECRET_ENDINGS)])


async def put(api: Api) -> Json:
    """Check, store and apply one option; keys that One API does not know are kept as they are."""
    body = api.body_or("invalid_parameter", {"key": text, "value": setting}, status=400)
    key, value = body.get("key", ""), body.get("value", "")
    if not key:
        raise Refusal(api.text("invalid_parameter"), status=400)
    message = fault(key, value, api.store.options)
    if message:
        raise Refusal(message)
    await api.store.options.put(key, value)
    return done()


async def groups(api: Api) -> Json:
    """The names of all groups, sorted."""
    return done(sorted(_ratios(api.store.options.text("GroupRatio")) or {}))


def fault(key: str, value: str, options: Options) -> str:
    """Why ``value`` cannot be stored; ``""`` when it can. What is stored can always be applied."""
    if key == "Theme":
        return "" if value in _THEMES else "无效的主题"
    if key in _INTEGERS:
        return "" if re.fullmatch(r"-?[0-9]{1,18}", value) else f"{key}: 应为整数 (expected an integer)"
    if key in _NUMBERS:
        return (
            ""
            if _is_number(value, above=0 if key == "QuotaPerUnit" else -1)
            else f"{key}: 无效的数字 (not usable)"
        )
    if key in _RATIOS:
        return (
            ""
            if _ratios(value) is not None
            else f'{key}: 应为 JSON 对象，例如 {{"name": 1.5}} (a JSON object)'
        )
    if key.endswith("Enabled") and key in options.values:
        if value not in ("true", "false"):
            return f"{key}: true | false"
        needed, message = _NEEDED.get(key, ("", ""))
        return message if value == "true" and needed and not options.text(needed).strip(" ,") else ""
    return ""


def _is_number(value: str, *, above: float) -> bool:
    try:
        number = float(value)
    except ValueError:
        return False
    return math.isfinite(number) and number > above


def _ratios(value: str) -> dict[str, float] | None:
    """A map of names to numbers; None for what is none."""
    try:
        ratios = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(ratios, dict):
        return None
    numbers = all(isinstance(ratio, int | float) and not isinstance(ratio, bool) for ratio in ratios.values())
    return ratios if numbers else None
