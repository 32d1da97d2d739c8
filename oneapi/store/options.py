"""Options: One API's settings in the database, over built-in defaults (contract section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from oneapi import resources
from oneapi.store import models
from oneapi.store.db import execute

if TYPE_CHECKING:
    from oneapi.store.store import Store

_RATIOS_FILE = "oneapi/data/ratios.json"
_EMPTY = (
    "SMTPServer SMTPAccount SMTPFrom SMTPToken ServerAddress GitHubClientId GitHubClientSecret"
    " WeChatServerAddress WeChatServerToken WeChatAccountQRCodeImageURL MessagePusherAddress"
    " MessagePusherToken TurnstileSiteKey TurnstileSecretKey"
    " TopUpLink ChatLink Footer Logo Notice About HomePageContent"
)
_EMAIL_DOMAINS = "gmail.com,163.com,126.com,qq.com,outlook.com,hotmail.com,icloud.com,yahoo.com,foxmail.com"
_DEFAULTS = {
    "PasswordLoginEnabled": "true",
    "PasswordRegisterEnabled": "true",
    "RegisterEnabled": "true",
    "EmailVerificationEnabled": "false",
    "GitHubOAuthEnabled": "false",
    "OidcEnabled": "false",
    "WeChatAuthEnabled": "false",
    "TurnstileCheckEnabled": "false",
    "EmailDomainRestrictionEnabled": "false",
    "EmailDomainWhitelist": _EMAIL_DOMAINS,
    "AutomaticDisableChannelEnabled": "false",
    "AutomaticEnableChannelEnabled": "false",
    "ChannelDisableThreshold": "5",
    "ApproximateTokenEnabled": "false",
    "LogConsumeEnabled": "true",
    "DisplayInCurrencyEnabled": "true",
    "DisplayTokenStatEnabled": "true",
    "RetryTimes": "0",
    "QuotaForNewUser": "0",
    "QuotaForInviter": "0",
    "QuotaForInvitee": "0",
    "QuotaRemindThreshold": "1000",
    "PreConsumedQuota": "500",
    "QuotaPerUnit": "500000",
    "SystemName": "One API",
    "Theme": "default",
    "SMTPPort": "587",
    **dict.fromkeys(_EMPTY.split(), ""),
}
_RATIO_KEYS = {
    "ModelRatio": "model_ratio",
    "CompletionRatio": "completion_ratio",
    "GroupRatio": "group_ratio",
}


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """The options that a relayed request reads, parsed once per change. Unparsable numbers are 0."""

    retry_times: int
    pre_consumed_quota: int
    quota_per_unit: float
    approximate_tokens: bool
    log_consume: bool
    display_in_currency: bool
    display_token_stat: bool
    automatic_disable: bool
    quota_remind_threshold: int
    model_ratio: str  # JSON text, "" when never set
    completion_ratio: str
    group_ratio: str


class Options:
    """All options in memory. ``values`` has the defaults too."""

    values: dict[str, str]
    relay: RelayOptions

    def __init__(self, store: Store) -> None:
        self._store = store
        self._subscribers: list[Callable[[Options], None]] = []
        self.load({})

    def load(self, stored: dict[str, str]) -> None:
        """Take over the rows of the database; model ratios that they lack are listed with their defaults."""
        ratios = {key: _json(default_ratios()[name]) for key, name in _RATIO_KEYS.items()}
        self.values = {**_DEFAULTS, **ratios, **stored}
        if "ModelRatio" in stored:
            self.values["ModelRatio"] = _with_defaults(stored["ModelRatio"])
        self._saved_ratios = {key: stored.get(key, "") for key in _RATIO_KEYS}
        self._apply()

    def text(self, key: str) -> str:
        """The value, or ""."""
        return self.values.get(key, "")

    def flag(self, key: str) -> bool:
        """Whether the value is exactly ``true``."""
        return self.values.get(key) == "true"

    def integer(self, key: str) -> int:
        """The value as a number; 0 when it is none."""
        try:
            return int(self.values.get(key, ""))
        except ValueError:
            return 0

    def number(self, key: str) -> float:
        """The value as a number with a fraction; 0 when it is none."""
        try:
            return float(self.values.get(key, ""))
        except ValueError:
            return 0.0

    async def put(self, key: str, value: str) -> None:
        """Store and apply; returns when both are done. Validation is the caller's."""

        def applied(_: None) -> None:
            self.values[key] = value
            if key in _RATIO_KEYS:
                self._saved_ratios[key] = value
            self._apply()

        await self._store.submit(lambda: _put(key, value), applied=applied)

    def subscribe(self, changed: Callable[[Options], None]) -> None:
        """Call ``changed`` now and after every change."""
        self._subscribers.append(changed)
        changed(self)

    def _apply(self) -> None:
        self.relay = RelayOptions(
            retry_times=self.integer("RetryTimes"),
            pre_consumed_quota=self.integer("PreConsumedQuota"),
            quota_per_unit=self.number("QuotaPerUnit"),
            approximate_tokens=self.flag("ApproximateTokenEnabled"),
            log_consume=self.flag("LogConsumeEnabled"),
            display_in_currency=self.flag("DisplayInCurrencyEnabled"),
            display_token_stat=self.flag("DisplayTokenStatEnabled"),
            automatic_disable=self.flag("AutomaticDisableChannelEnabled"),
            quota_remind_threshold=self.integer("QuotaRemindThreshold"),
            model_ratio=self._saved_ratios["ModelRatio"],
            completion_ratio=self._saved_ratios["CompletionRatio"],
            group_ratio=self._saved_ratios["GroupRatio"],
        )
        for changed in self._subscribers:
            changed(self)


@cache
def default_ratios() -> dict[str, Any]:
    """The shipped prices; read from disk once."""
    found: dict[str, Any] = orjson.loads(resources.read(_RATIOS_FILE))
    return found


def _with_defaults(text: str) -> str:
    """The stored ratios and the missing defaults; text that is no object is left as it is."""
    try:
        stored = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return _json({**default_ratios()["model_ratio"], **stored}) if isinstance(stored, dict) else text


def _json(ratios: dict[str, Any]) -> str:
    """An object as One API writes it: sorted keys, no exponent down to 1e-6, no fraction of zero."""
    members = (f"{orjson.dumps(name).decode()}:{_ratio(ratio)}" for name, ratio in sorted(ratios.items()))
    return "{" + ",".join(members) + "}"


def _ratio(value: Any) -> str:
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        return format(Decimal(repr(value)), "f")
    return orjson.dumps(value).decode()


def _put(key: str, value: str) -> None:
    query = models.Options.insert({"key": key, "value": value})
    execute(query.on_conflict(conflict_target=[models.Options.key], update={models.Options.value: value}))
