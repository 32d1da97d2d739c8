"""How much money is left on an upstream account: where each channel type tells it, and how it is read. Pure.

Sources are One API's (contract section 7.2). The amount is in US dollars, for some vendors in yuan or points.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from oneapi.wire import Channel, Json, UpstreamRequest

_OLD_ACCOUNT = timedelta(days=100)  # how far back to look for one without a payment method


class BalanceError(Exception):
    """The answer does not tell a balance; the text says what it tells instead."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request and how to read its JSON answer. ``then`` asks on for the rest of the sum."""

    url: Callable[[Channel], str]
    read: Callable[[Json], float]
    headers: Callable[[Channel], tuple[tuple[str, str], ...]] | None = None
    then: "Callable[[Channel, Json, date], tuple[str, Callable[[float, Json], float]]] | None" = None

    def request(self, channel: Channel, url: str = "") -> UpstreamRequest:
        """The request, to ``url`` when it is not the first."""
        headers = self.headers(channel) if self.headers else (("Authorization", f"Bearer {channel.key}"),)
        return UpstreamRequest("GET", url or self.url(channel), headers)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BalanceError("the answer names no amount") from None


def _at(*path: str) -> Callable[[Json], float]:
    def read(answer: Json) -> float:
        value: Any = answer
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return _number(value)

    return read


def _below(path: str, default: str) -> Callable[[Channel], str]:
    return lambda channel: (channel.base_url or default).rstrip("/") + path


def _usage(channel: Channel, subscription: Json, today: date) -> tuple[str, Callable[[float, Json], float]]:
    start = today.replace(day=1) if subscription.get("has_payment_method") else today - _OLD_ACCOUNT
    base = (channel.base_url or "https://api.openai.com").rstrip("/")
    url = f"{base}/v1/dashboard/billing/usage?start_date={start:%Y-%m-%d}&end_date={today:%Y-%m-%d}"
    return url, lambda limit, usage: limit - _number(usage.get("total_usage")) / 100


def _openai_sb(answer: Json) -> float:
    if not isinstance(answer.get("data"), dict):
        raise BalanceError(str(answer.get("msg") or "the answer has no data"))
    return _number(answer["data"].get("credit"))


def _openrouter(answer: Json) -> float:
    return _at("data", "total_credits")(answer) - _at("data", "total_usage")(answer)


def _deepseek(answer: Json) -> float:
    infos = answer.get("balance_infos")
    for info in infos if isinstance(infos, list) else []:
        if isinstance(info, dict) and info.get("currency") == "CNY":
            return _number(info.get("total_balance"))
    raise BalanceError("currency CNY not found")


def _siliconflow(answer: Json) -> float:
    if answer.get("code") != 20000:
        raise BalanceError(str(answer.get("message") or "the answer is not a success"))
    return _at("data", "totalBalance")(answer)


_OPENAI = Question(
    _below("/v1/dashboard/billing/subscription", "https://api.openai.com"), _at("hard_limit_usd"), then=_usage
)

QUESTIONS: Mapping[int, Question] = {
    1: _OPENAI,
    8: _OPENAI,
    4: Question(
        _below("/dashboard/billing/credit_grants", "https://api.closeai-proxy.xyz"), _at("total_available")
    ),
    5: Question(
        lambda channel: (
            _below("/sb-api/user/status?api_key=", "https://api.openai-sb.com")(channel)
            + quote(channel.key, safe="")
        ),
        _openai_sb,
    ),
    10: Question(
        _below("/api/report/getUserOverview", "https://aiproxy.io"),
        _at("data", "totalPoints"),
        lambda channel: (("Api-Key", channel.key),),
    ),
    12: Question(
        _below("/dashboard/billing/credit_grants", "https://api.api2gpt.com"), _at("total_remaining")
    ),
    13: Question(
        _below("/dashboard/billing/credit_grants", "https://api.aigc2d.com"), _at("total_available")
    ),
    20: Question(_below("/v1/credits", "https://openrouter.ai/api"), _openrouter),
    36: Question(_below("/user/balance", "https://api.deepseek.com"), _deepseek),
    44: Question(_below("/v1/user/info", "https://api.siliconflow.cn"), _siliconflow),
}
"""By channel type; a type that is not here does not tell."""


def utc_date(now: int) -> date:
    """The day of a Unix time."""
    return datetime.fromtimestamp(now, UTC).date()
