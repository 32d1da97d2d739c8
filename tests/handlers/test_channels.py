"""The management of channels, and their tests against a stand-in vendor."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.handlers.conftest import Client, Service
from tests.support.upstream import Exchange, Gate, Upstream
from tests.support.vendor import Vendor

KEY = "sk-upstream-secret"


@pytest.fixture
async def root(service: Service) -> Client:
    return await service.root()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as vendor:
        yield vendor


async def channel(client: Client, channel_id: int) -> dict[str, Any]:
    row: dict[str, Any] = await client.data("GET", f"/api/channel/{channel_id}")
    return row


async def test_no_answer_ever_shows_a_key(service: Service, root: Client) -> None:
    answers = [
        await root.ask("POST", "/api/channel/", {"name": "one", "key": KEY, "models": "m"}),
        await root.ask("GET", "/api/channel/"),
        await root.ask("GET", "/api/channel/1"),
        await root.ask("GET", "/api/channel/search?keyword=one"),
        await root.ask("PUT", "/api/channel/", {"id": 1, "name": "two"}),
        await root.ask("PUT", "/api/channel/", {"id": 1, "key": KEY + "2"}),
    ]
    assert all(answer.succeeded for answer in answers)
    assert not any(KEY.encode() in answer.body for answer in answers)
    assert service.store.index.channels[1].key == KEY + "2"


async def test_a_channel_with_the_least_fields_has_the_known_defaults(root: Client) -> None:
    await root.data("POST", "/api/channel/", {"key": "k"})
    row = await channel(root, 1)
    assert abs(row.pop("created_time") - time.time()) < 60
    assert row == {
        "id": 1,
        "type": 0,
        "key": "",
        "status": 1,
        "name": "",
        "weight": 0,
        "test_time": 0,
        "response_time": 0,
        "base_url": "",
        "other": None,
        "balance": 0,
        "balance_updated_time": 0,
        "models": "",
        "group": "default",
        "used_quota": 0,
        "model_mapping": "",
        "priority": 0,
        "config": "",
        "system_prompt": None,
    }
    assert b'"balance":0,' in (await root.ask("GET", "/api/channel/1")).body


async def test_each_line_of_the_key_makes_a_channel(service: Service, root: Client) -> None:
    body = {
        "name": "multi",
        "key": "ka\r\nkb\n\n  \nkc\n",
        "models": "m",
        "group": "default,vip",
        "priority": 3,
    }
    await root.data("POST", "/api/channel/", body)
    assert [c.key for c in service.store.index.channels.values()] == ["ka", "kb", "kc"]
    assert len({(c.name, c.priority, c.groups) for c in service.store.index.channels.values()}) == 1
    assert len(service.store.index.routes["vip"]["m"][0]) == 3
    for nothing in ({}, {"key": ""}, {"key": "\n \n"}):
        assert "no key" in await root.refusal("POST", "/api/channel/", nothing)


async def test_what_only_we_know_about_a_channel_cannot_be_sent(root: Client) -> None:
    given = {"id": 77, "balance": 9.5, "used_quota": 5, "created_time": 1, "test_time": 1, "response_time": 1}
    await root.data("POST", "/api/channel/", {"key": "k", **given})
    before = await channel(root, 1)
    assert (before["balance"], before["used_quota"], before["test_time"]) == (0, 0, 0)
    assert before["created_time"] > 1
    await root.data("PUT", "/api/channel/", {**given, "id": 1})
    assert await channel(root, 1) == before


async def test_a_change_writes_what_it_names_nulls_and_zeros_of_plain_fields_do_not_count(
    root: Client,
) -> None:
    config = '{"region":"eu"}'
    given = {
        "name": "n",
        "type": 3,
        "models": "a",
        "group": "vip",
        "config": config,
        "other": "o",
        "weight": 2,
    }
    await root.data("POST", "/api/channel/", {**given, "key": "k", "base_url": "http://x", "priority": 7})
    before = await channel(root, 1)
    nulls = {"name": None, "base_url": None, "priority": None}
    assert await root.data("PUT", "/api/channel/", {"id": 1, **nulls}) == before
    zeros = {"type": 0, "status": 0, "group": "", "config": "", "key": ""}
    assert await root.data("PUT", "/api/channel/", {"id": 1, **zeros}) == before
    emptied = {"name": "", "models": "", "base_url": "", "other": "", "weight": 0, "priority": 0}
    assert await root.data("PUT", "/api/channel/", {"id": 1, **emptied}) == {**before, **emptied}


async def test_a_change_counts_for_the_next_request(service: Service, root: Client) -> None:
    await root.data("POST", "/api/channel/", {"key": "k", "models": "a,b", "group": "default"})
    routes = service.store.index.routes
    assert set(routes["default"]) == {"a", "b"}
    await root.data("PUT", "/api/channel/", {"id": 1, "models": "b,c", "group": "vip"})
    assert "default" not in routes
    assert set(routes["vip"]) == {"b", "c"}
    await root.data("PUT", "/api/channel/", {"id": 1, "status": 2})
    assert "vip" not in routes
    await root.data("PUT", "/api/channel/", {"id": 1, "status": 1})
    assert set(routes["vip"]) == {"b", "c"}


async def test_an_unknown_channel_is_not_changed_into_being(service: Service, root: Client) -> None:
    assert await root.refusal("PUT", "/api/channel/", {"id": 77, "name": "ghost"}) == "record not found"
    assert await root.refusal("GET", "/api/channel/77") == "record not found"
    assert "missing" in await root.refusal("PUT", "/api/channel/", {"name": "nobody"})
    assert service.store.index.channels == {}
    assert await root.data("GET", "/api/channel/") == []


async def test_channels_are_found_by_id_and_by_the_beginning_of_the_name(root: Client) -> None:
    for name in ("first", "multi", "multiply", "1st"):
        await root.data("POST", "/api/channel/", {"key": "k", "name": name})

    async def found(keyword: str) -> list[str]:
        return [row["name"] for row in await root.data("GET", f"/api/channel/search?keyword={keyword}")]

    assert await found("multi") == ["multi", "multiply"]
    assert await found("1") == ["first", "1st"]
    assert await found("") == ["first", "multi", "multiply", "1st"]
    assert await found("zz") == []
    assert [row["id"] for row in await root.data("GET", "/api/channel/?page_size=3")] == [4, 3, 2]


async def test_deleting_takes_routes_along_and_is_no_error_twice(service: Service, root: Client) -> None:
    for number, status in enumerate((1, 2, 3, 1), 1):
        await root.data("POST", "/api/channel/", {"key": "k", "models": f"m{number}", "status": status})
    assert await root.data("DELETE", "/api/channel/disabled") == 2
    assert await root.data("DELETE", "/api/channel/disabled") == 0
    for _ in range(2):
        await root.data("DELETE", "/api/channel/1")
    assert set(service.store.index.routes["default"]) == {"m4"}
    assert [row["id"] for row in await root.data("GET", "/api/channel/")] == [4]
    for nothing in ("0", "abc"):
        assert "missing" in await root.refusal("DELETE", f"/api/channel/{nothing}")


async def test_the_built_in_models_are_listed_for_clients_and_by_type(service: Service, root: Client) -> None:
    answer = await root.get("/api/channel/models")
    assert answer["object"] == "list"
    assert len(answer["data"]) == 492
    assert set(answer["data"][0]) == {"id", "object", "created", "owned_by", "permission", "root", "parent"}
    by_type = await (await service.log_in_new("alice")).data("GET", "/api/models")
    assert set(by_type) == {str(number) for number in range(1, 52)}
    assert "gpt-4o" in by_type["1"]
    assert by_type["43"] is None


# ------------------------------------------------ tests


@pytest.fixture
async def tested(root: Client, upstream: Upstream) -> Client:
    url = upstream.at(Vendor(pieces=("I am <m>",)))
    body = {"type": 1, "name": "good", "key": KEY, "base_url": url, "models": "gpt-4,m-1"}
    await root.data("POST", "/api/channel/", {**body, "model_mapping": '{"m-1": "m-2"}'})
    return root


@pytest.mark.parametrize(
    ("query", "asked"),
    [("", "gpt-4"), ("?model=m-1", "m-2"), ("?model=gpt", "gpt-4"), ("?model=gpt-4", "gpt-4")],
    ids=["first model", "mapped", "only a part of a name", "named"],
)
async def test_a_test_asks_the_channel_for_a_model_that_it_really_has(
    tested: Client, upstream: Upstream, query: str, asked: str
) -> None:
    answer = (await tested.ask("GET", f"/api/channel/test/1{query}")).json
    assert answer["success"] is True
    assert answer["message"] == "I am <m>"
    assert answer["modelName"] == query.removeprefix("?model=")
    assert 0 < answer["time"] < 20
    assert upstream.seen[-1].model == asked
    row = await channel(tested, 1)
    assert abs(row["test_time"] - time.time()) < 60
    (log,) = await tested.data("GET", "/api/log/?type=5")
    assert (log["content"], log["model_name"]) == ("渠道 good 测试成功，响应：I am <m>", asked)
    assert (log["user_id"], log["channel"], log["quota"], log["username"]) == (0, 1, 0, "")


async def test_a_channel_that_only_embeds_is_tested_by_embedding(root: Client, upstream: Upstream) -> None:
    body = {"type": 1, "key": "k", "models": "text-embedding-3-small", "base_url": upstream.at(Vendor())}
    await root.data("POST", "/api/channel/", body)
    assert (await root.get("/api/channel/test/1"))["success"] is True
    assert upstream.seen[-1].path.endswith("/v1/embeddings")


async def unauthorized(exchange: Exchange) -> None:
    exchange.reply(401, {"error": {"message": "Incorrect API key provided", "type": "invalid_request_error"}})


async def test_a_failed_test_says_why_and_changes_no_status(root: Client, upstream: Upstream) -> None:
    body = {"type": 1, "name": "bad", "key": KEY, "models": "m", "base_url": upstream.at(unauthorized)}
    await root.data("POST", "/api/channel/", body)
    answer = (await root.ask("GET", "/api/channel/test/1")).json
    message = "http status code: 401, error message: Incorrect API key provided"
    assert answer == {"message": message, "modelName": "", "success": False, "time": 0}
    row = await channel(root, 1)
    assert (row["status"], row["response_time"]) == (1, 0)
    (log,) = await root.data("GET", "/api/log/?type=5")
    assert log["content"] == f"渠道 bad 测试失败，错误：{message}"


async def test_an_unknown_channel_cannot_be_tested_or_asked_for_its_balance(root: Client) -> None:
    for path in ("/api/channel/test/99", "/api/channel/update_balance/99"):
        assert (await root.get(path)) == {"message": "record not found", "success": False}


async def credit(exchange: Exchange) -> None:
    exchange.reply(200, {"total_available": 13.5})


async def test_a_balance_is_asked_for_stored_and_shown(root: Client, upstream: Upstream) -> None:
    url = upstream.at(credit)
    await root.data(
        "POST", "/api/channel/", {"type": 4, "name": "c", "key": KEY, "models": "m", "base_url": url}
    )
    answer = await root.get("/api/channel/update_balance/1")
    assert answer == {"balance": 13.5, "message": "", "success": True}
    row = await channel(root, 1)
    assert row["balance"] == 13.5
    assert row["balance_updated_time"] > 0


async def test_a_type_without_a_balance_and_a_vendor_that_refuses_say_so(
    root: Client, upstream: Upstream
) -> None:
    for kind, text in ((3, "尚未实现"), (4, "status code: 401")):
        body = {"type": kind, "name": "c", "key": KEY, "models": "m", "base_url": upstream.at(unauthorized)}
        await root.data("POST", "/api/channel/", body)
        number = (await root.data("GET", "/api/channel/"))[0]["id"]
        answer = await root.get(f"/api/channel/update_balance/{number}")
        assert answer == {"message": text, "success": False}


async def everything_tested() -> None:
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "test channels"))


@pytest.mark.expected_log("channel disabled by its test channel_id=2")
async def test_testing_all_disables_the_dead_and_enables_what_was_disabled_automatically(
    service: Service, root: Client, upstream: Upstream
) -> None:
    good, bad = upstream.at(Vendor()), upstream.at(unauthorized)
    for url, status in ((good, 1), (bad, 1), (good, 2), (good, 3), (bad, 3)):
        body = {"type": 1, "key": "k", "models": "m", "base_url": url, "status": status}
        await root.data("POST", "/api/channel/", body)
    await root.data("GET", "/api/channel/test")
    await everything_tested()
    statuses = {row["id"]: row["status"] for row in await root.data("GET", "/api/channel/")}
    assert statuses == {1: 1, 2: 1, 3: 2, 4: 3, 5: 3}
    for option in ("AutomaticDisableChannelEnabled", "AutomaticEnableChannelEnabled"):
        await service.store.options.put(option, "true")
    await root.data("GET", "/api/channel/test?scope=all")
    await everything_tested()
    statuses = {row["id"]: row["status"] for row in await root.data("GET", "/api/channel/")}
    assert statuses == {1: 1, 2: 3, 3: 2, 4: 1, 5: 3}
    assert len(await root.data("GET", "/api/log/?type=5&page_size=100")) == 10


async def test_testing_the_disabled_leaves_the_enabled_alone(
    service: Service, root: Client, upstream: Upstream
) -> None:
    for name, status in (("on", 1), ("off", 2), ("auto", 3)):
        body = {"type": 1, "key": name, "models": "m", "base_url": upstream.at(Vendor()), "status": status}
        await root.data("POST", "/api/channel/", body)
    await root.data("GET", "/api/channel/test?scope=disabled")
    await everything_tested()
    assert [seen.headers["authorization"] for seen in upstream.seen] == ["Bearer off", "Bearer auto"]
    assert await root.refusal("GET", "/api/channel/test?scope=some") == "scope: all | disabled"


@pytest.mark.expected_log("channel disabled by its test channel_id=1")
async def test_a_channel_slower_than_the_threshold_is_disabled(
    service: Service, root: Client, upstream: Upstream
) -> None:
    body = {"type": 1, "key": "k", "models": "m", "base_url": upstream.at(Vendor())}
    await root.data("POST", "/api/channel/", body)
    await service.store.options.put("AutomaticDisableChannelEnabled", "true")
    await service.store.options.put("ChannelDisableThreshold", "0.000001")
    await root.data("GET", "/api/channel/test")
    await everything_tested()
    assert (await channel(root, 1))["status"] == 3


async def test_only_one_test_of_all_runs_at_a_time(
    service: Service, root: Client, upstream: Upstream
) -> None:
    gate = Gate(upstream)
    body = {"type": 1, "key": "k", "models": "m", "base_url": upstream.at(Vendor(first=gate))}
    await root.data("POST", "/api/channel/", body)
    await root.data("GET", "/api/channel/test")
    assert await root.refusal("GET", "/api/channel/test") == "测试已在运行中"
    gate.allow()
    await everything_tested()
    gate.allow()
    await root.data("GET", "/api/channel/test")
    await everything_tested()
    assert len(upstream.seen) == 2
