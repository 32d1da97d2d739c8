"""The form of all answers: envelope, status, headers, escaping, languages, and what bad requests get."""

import gzip
import re

import orjson
import pytest

from oneapi.store.records import ROLE_ADMIN
from tests.handlers.conftest import Service

JSON_TYPE = "application/json; charset=utf-8"


async def test_the_status_names_every_setting_a_client_knows(service: Service) -> None:
    answer = await service.anonymous().ask("GET", "/api/status")
    assert answer.headers["content-type"] == JSON_TYPE
    assert b'"success":true' in answer.body
    data = answer.json["data"]
    assert list(data) == sorted(data)
    assert data["system_name"] == "One API"
    assert data["server_address"] == "http://localhost:3000"
    assert b'"quota_per_unit":500000,' in answer.body
    await service.store.options.put("QuotaPerUnit", "0.5")
    await service.store.options.put("ServerAddress", "https://gw.example.com")
    await service.store.options.put("OidcEnabled", "true")
    data = await service.anonymous().data("GET", "/api/status")
    assert (data["quota_per_unit"], data["server_address"], data["oidc"]) == (
        0.5,
        "https://gw.example.com",
        True,
    )


@pytest.mark.parametrize(
    ("path", "option"),
    [("/api/notice", "Notice"), ("/api/about", "About"), ("/api/home_page_content", "HomePageContent")],
)
async def test_public_texts_are_escaped_for_html_and_read_back_unchanged(
    service: Service, path: str, option: str
) -> None:
    text = '<b>维护</b> & more \u2028 \u2029 "quoted" \\u003c'
    await service.store.options.put(option, text)
    answer = await service.anonymous().ask("GET", path)
    assert answer.json == {"data": text, "message": "", "success": True}
    assert b"\\u003cb\\u003e\xe7\xbb\xb4" in answer.body
    for byte in (b"<", b">", b"&", b"\xe2\x80\xa8"):
        assert byte not in answer.body


async def test_every_answer_has_an_id_of_its_own_and_no_signature(service: Service) -> None:
    client = service.anonymous()
    paths = ["/api/status", "/api/nope", "/api/user/self", "/", "/v1/nope", "/dashboard/billing/usage"]
    answers = [await client.ask("GET", path, headers={"X-Oneapi-Request-Id": "mine"}) for path in paths]
    ids = [answer.headers["x-oneapi-request-id"] for answer in answers]
    assert len(set(ids)) == len(paths)
    assert all(re.fullmatch(r"\d{15,40}", text) for text in ids)
    assert not any("server" in answer.headers for answer in answers)
    assert all(answer.headers["x-content-type-options"] == "nosniff" for answer in answers)


@pytest.mark.parametrize(
    ("accepts", "zipped"),
    [("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("identity", False), ("", False)],
)
async def test_answers_are_compressed_for_clients_that_can_read_it(
    service: Service, accepts: str, zipped: bool
) -> None:
    answer = await service.anonymous(**{"Accept-Encoding": accepts}).ask("GET", "/api/about")
    assert answer.headers["vary"] == "Accept-Encoding"
    assert ("content-encoding" in answer.headers) == zipped
    body = gzip.decompress(answer.body) if zipped else answer.body
    assert orjson.loads(body)["success"] is True


async def test_answers_of_the_api_are_not_kept_by_caches_and_open_to_no_other_site(service: Service) -> None:
    answer = await service.anonymous(Origin="https://evil.example").ask("GET", "/api/status")
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/nope"),
        ("GET", "/apifoo"),
        ("GET", "/v1/nope"),
        ("POST", "/v1x"),
        ("DELETE", "/api/status"),
        ("PATCH", "/api/token/"),
        ("OPTIONS", "/api/token/"),
        ("PROPFIND", "/api/token/"),
    ],
)
async def test_an_unknown_path_or_method_is_a_404_without_asking_who_it_is(
    service: Service, method: str, path: str
) -> None:
    answer = await service.anonymous().ask(method, path)
    message = f"Invalid URL ({method} {path})"
    error = {"message": message, "type": "invalid_request_error", "param": "", "code": ""}
    assert (answer.status, answer.json) == (404, {"error": error})


@pytest.mark.expected_log("request failed path=/api/status")
async def test_a_failure_of_ours_is_a_500_in_json_and_logged_once_without_secrets(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    del service.store.options.values  # what cannot happen
    client = service.anonymous(Authorization="Bearer very-secret", Cookie="session=very-secret")
    answer = await client.ask("GET", "/api/status?key=very-secret")
    assert (answer.status, answer.headers["content-type"]) == (500, JSON_TYPE)
    assert answer.json == {"message": "internal error, see the log", "success": False}
    assert [record.name for record in caplog.records] == ["oneapi.handlers.base"]
    assert "very-secret" not in caplog.text
    service.store.options.values = {}


BAD_BODIES = [
    b"",
    b"   ",
    b"nonsense",
    b"[1,",
    b"[]",
    b'"text"',
    b"7",
    b'{"name": "\xff"}',
    b'{"name": 5}',
    b"{" * 2000,
]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/token/"),
        ("PUT", "/api/token/"),
        ("POST", "/api/channel/"),
        ("PUT", "/api/channel/"),
        ("POST", "/api/redemption/"),
        ("PUT", "/api/redemption/"),
    ],
)
async def test_a_bad_body_is_refused_in_readable_words(service: Service, method: str, path: str) -> None:
    client = service.anonymous(Authorization="r" * 32)
    for body in BAD_BODIES:
        message = await client.refusal(method, path, body)
        assert message.startswith("无效的请求 (invalid request): ")
        assert len(message) < 200


@pytest.mark.parametrize(
    ("language", "message"),
    [("en", "invalid parameter"), ("zh-TW", "无效的参数"), ("fr, zh", "invalid parameter")],
)
async def test_user_management_refuses_bad_bodies_in_the_clients_language(
    service: Service, language: str, message: str
) -> None:
    client = service.anonymous(**{"Authorization": "r" * 32, "Accept-Language": language})
    for method, path in (
        ("POST", "/api/user/"),
        ("PUT", "/api/user/"),
        ("POST", "/api/user/manage"),
        ("PUT", "/api/user/self"),
    ):
        assert await client.refusal(method, path, b"{oops") == message


async def test_field_names_match_in_any_case_null_is_absent_and_unknown_ones_are_ignored(
    service: Service,
) -> None:
    root = await service.root()
    await root.data("POST", "/api/topup", {"USER_ID": 1, "Quota": 5, "Remark": "case", "else": [1]})
    await root.data("POST", "/api/topup", {"user_id": 1, "quota": None, "remark": None})
    contents = [row["content"] for row in await root.data("GET", "/api/log/?type=1")]
    assert contents == ["通过 API 充值 ＄0.000000 额度", "case"]


WRONG_NUMBERS = ['"5"', "5.0", "5.5", "5e0", "true", "[]", "{}", str(2**63), str(-(2**63) - 1), str(10**30)]


@pytest.mark.parametrize("value", [*WRONG_NUMBERS, str(10**17 + 1), str(-(10**17) - 1)])
async def test_what_is_no_usable_whole_number_is_refused(service: Service, value: str) -> None:
    root = await service.root()
    message = await root.refusal("POST", "/api/topup", b'{"user_id":1,"quota":%s}' % value.encode())
    assert "quota" in message
    assert (await root.data("GET", "/api/user/self"))["quota"] == 500_000_000_000_000


@pytest.mark.parametrize(
    ("query", "first", "size", "count"),
    [
        ("", 0, 10, 10),
        ("?p=0", 0, 10, 10),
        ("?p=1", 1, 10, 3),
        ("?p=2", 2, 10, 0),
        ("?p=-3", 0, 10, 10),
        ("?p=x", 0, 10, 10),
        ("?page_size=5&p=2", 2, 5, 3),
        ("?page_size=0", 0, 10, 10),
        ("?page_size=-1", 0, 10, 10),
        ("?page_size=1000", 0, 100, 13),
        ("?p=999999999999999999", 10**12, 10, 0),
        ("?p=9999999999999999999999", 0, 10, 10),
    ],
)
async def test_lists_come_in_pages_and_say_how_many_there_are(
    service: Service, query: str, first: int, size: int, count: int
) -> None:
    for number in range(12):
        await service.person(f"user{number}")
    root = await service.root()
    answer = await root.get(f"/api/user/{query}")
    assert len(answer.pop("data")) == count
    expected = {"message": "", "page": first, "page_size": size, "success": True, "total": 13}
    assert list(answer.items()) == list(expected.items())


async def test_a_word_as_id_is_refused_and_not_read_as_another_number(service: Service) -> None:
    await service.person("ada", ROLE_ADMIN)
    client = await service.client("ada")
    for path in ("/api/user/abc", "/api/channel/1x", "/api/token/1.0", "/api/redemption/%C2%B2"):
        assert "invalid id" in await client.refusal("GET", path)


async def test_a_query_that_is_not_utf8_is_a_400(service: Service) -> None:
    answer = await (await service.root()).ask("GET", "/api/token/search?keyword=%FF")
    assert (answer.status, answer.json) == (400, {"message": "bad request", "success": False})


async def test_a_body_that_no_form_could_fill_is_a_413(service: Service) -> None:
    answer = await service.anonymous().ask("POST", "/api/user/login", b" " * (4 * 1024 * 1024 + 1))
    assert (answer.status, answer.json["success"]) == (413, False)
