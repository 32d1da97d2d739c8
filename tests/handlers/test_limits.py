"""Rate limits, and whose address they count."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from tornado.httputil import HTTPHeaders

from oneapi.config import PRIVATE_PEERS, Settings
from oneapi.handlers.client_ip import came_by_tls, client_ip
from oneapi.handlers.limits import SlidingLog
from tests.handlers.conftest import Service

TRUSTED = tuple(ip_network(text) for text in PRIVATE_PEERS.split(","))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, global_api_rate_limit=3, global_web_rate_limit=2)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_caller_may_come_so_often_in_a_window_and_refused_tries_do_not_count() -> None:
    clock = Clock()
    log = SlidingLog(2, 180, clock)
    assert [log.admits("a") for _ in range(4)] == [True, True, False, False]
    assert log.admits("b")
    clock.now += 179
    assert not log.admits("a")
    clock.now += 1
    assert [log.admits("a") for _ in range(3)] == [True, True, False]


def test_zero_is_no_limit() -> None:
    log = SlidingLog(0, 180)
    assert all(log.admits("a") for _ in range(1000))


def test_callers_whose_window_is_over_are_forgotten() -> None:
    clock = Clock()
    log = SlidingLog(1, 10, clock)
    for number in range(10_000):
        log.admits(str(number))
    clock.now += 11
    assert log.admits("new")
    assert len(log._accepted) == 1


async def test_the_fourth_request_to_the_api_is_an_empty_429_and_the_page_is_counted_apart(
    service: Service,
) -> None:
    client = service.anonymous()
    statuses = [(await client.ask("GET", "/api/status")).status for _ in range(3)]
    refused = await client.ask("GET", "/api/nope")
    assert statuses == [200, 200, 200]
    assert (refused.status, refused.body) == (429, b"")
    assert "x-oneapi-request-id" in refused.headers
    assert [(await client.ask("GET", "/")).status for _ in range(3)] == [200, 200, 429]


async def test_limits_count_the_client_behind_a_trusted_proxy(service: Service) -> None:
    for _ in range(4):
        await service.anonymous(**{"X-Forwarded-For": "203.0.113.1"}).ask("GET", "/api/status")
    other = await service.anonymous(**{"X-Forwarded-For": "203.0.113.2"}).ask("GET", "/api/status")
    assert other.status == 200


class TestCritical:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, global_api_rate_limit=0)

    async def test_twenty_logins_in_twenty_minutes_are_enough(self, service: Service) -> None:
        client = service.anonymous()
        statuses = [(await client.ask("POST", "/api/user/login", b"")).status for _ in range(21)]
        assert statuses == [200] * 20 + [429]
        assert (await client.ask("GET", "/api/status")).status == 200


class TestDebug:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, debug=True)

    async def test_debug_lifts_all_limits(self, service: Service) -> None:
        client = service.anonymous()
        assert [(await client.ask("GET", "/api/status")).status for _ in range(5)] == [200] * 5


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.2", "198.51.100.1, 10.0.0.3", "198.51.100.1"),
        ("127.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "10.9.9.9", "10.9.9.9"),
        ("127.0.0.1", "10.9.9.9, 10.0.0.3", "10.9.9.9"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "nonsense, 10.0.0.3", "10.0.0.3"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("::ffff:127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_only_trusted_proxies_are_believed_about_whom_they_forward(
    peer: str, forwarded: str, expected: str
) -> None:
    assert client_ip(HTTPHeaders({"X-Forwarded-For": forwarded}), peer, TRUSTED) == expected


@pytest.mark.parametrize(
    ("peer", "proto", "expected"),
    [("127.0.0.1", "https", True), ("127.0.0.1", "http", False), ("203.0.113.9", "https", False)],
)
def test_only_trusted_proxies_are_believed_about_tls(peer: str, proto: str, expected: bool) -> None:
    assert came_by_tls(HTTPHeaders({"X-Forwarded-Proto": proto}), peer, TRUSTED) is expected
