from datetime import date
from typing import Any

import pytest

from oneapi.providers.balances import QUESTIONS, BalanceError, utc_date
from oneapi.wire import Channel


def channel(kind: int, base_url: str = "") -> Channel:
    return Channel(kind, kind, "c", 1, "k y", base_url, (), (), {}, 0, 0, {})


@pytest.mark.parametrize(
    ("kind", "url", "answer", "amount"),
    [
        (4, "https://api.closeai-proxy.xyz/dashboard/billing/credit_grants", {"total_available": 13.5}, 13.5),
        (5, "https://api.openai-sb.com/sb-api/user/status?api_key=k%20y", {"data": {"credit": "7.5"}}, 7.5),
        (10, "https://aiproxy.io/api/report/getUserOverview", {"data": {"totalPoints": 9}}, 9),
        (12, "https://api.api2gpt.com/dashboard/billing/credit_grants", {"total_remaining": 3}, 3),
        (13, "https://api.aigc2d.com/dashboard/billing/credit_grants", {"total_available": 4}, 4),
        (
            20,
            "https://openrouter.ai/api/v1/credits",
            {"data": {"total_credits": 10, "total_usage": 4.5}},
            5.5,
        ),
        (
            36,
            "https://api.deepseek.com/user/balance",
            {"balance_infos": [{"currency": "USD"}, {"currency": "CNY", "total_balance": "88.5"}]},
            88.5,
        ),
        (
            44,
            "https://api.siliconflow.cn/v1/user/info",
            {"code": 20000, "data": {"totalBalance": "1.25"}},
            1.25,
        ),
    ],
)
def test_each_type_is_asked_at_its_address_and_its_answer_understood(
    kind: int, url: str, answer: dict[str, Any], amount: float
) -> None:
    question = QUESTIONS[kind]
    assert question.request(channel(kind)).url == url
    assert question.read(answer) == amount


def test_a_channels_own_address_replaces_the_vendors() -> None:
    for kind, question in QUESTIONS.items():
        assert question.request(channel(kind, "http://127.0.0.1:1/")).url.startswith("http://127.0.0.1:1/")


def test_aiproxy_gets_its_key_in_a_header_of_its_own_and_the_others_as_bearer() -> None:
    assert QUESTIONS[10].request(channel(10)).headers == (("Api-Key", "k y"),)
    assert QUESTIONS[36].request(channel(36)).headers == (("Authorization", "Bearer k y"),)


@pytest.mark.parametrize(("paid", "start"), [(True, "2026-11-01"), (False, "2026-08-16")])
def test_openai_is_asked_for_the_limit_and_then_for_what_is_used(paid: bool, start: str) -> None:
    question = QUESTIONS[1]
    subscription = {"hard_limit_usd": 120, "has_payment_method": paid}
    assert question.read(subscription) == 120
    assert question.then is not None
    url, rest = question.then(channel(1), subscription, date(2026, 11, 24))
    assert url == f"https://api.openai.com/v1/dashboard/billing/usage?start_date={start}&end_date=2026-11-24"
    assert rest(120, {"total_usage": 2050}) == 99.5


@pytest.mark.parametrize(
    ("kind", "answer", "text"),
    [
        (1, {}, "names no amount"),
        (5, {"msg": "bad key"}, "bad key"),
        (5, {}, "no data"),
        (20, {"data": 5}, "names no amount"),
        (36, {"balance_infos": None}, "currency CNY not found"),
        (44, {"code": 1, "message": "no"}, "no"),
        (44, {}, "not a success"),
    ],
)
def test_an_answer_without_a_balance_says_what_is_missing(
    kind: int, answer: dict[str, Any], text: str
) -> None:
    with pytest.raises(BalanceError, match=text):
        QUESTIONS[kind].read(answer)


def test_a_day_is_one_of_utc() -> None:
    assert utc_date(1_700_000_000) == date(2023, 11, 14)
