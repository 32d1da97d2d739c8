"""The shortest way through everything that a build can break: files inside it, start, database, relay, end.

Runs against the executable that ``ONEAPI_EXECUTABLE`` names, or against the source.
"""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from oneapi import __version__
from tests.support import llama
from tests.support.admin import Admin, IssuedToken, fetch
from tests.support.ledger import ledger_check
from tests.support.program import DATABASE, Program, frozen, run_once
from tests.support.upstream import Upstream
from tests.support.vendor import Vendor

RATIO = 30
HELLO: list[openai.types.chat.ChatCompletionUserMessageParam] = [{"role": "user", "content": "hi"}]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


def client(program: Program, token: IssuedToken) -> openai.OpenAI:
    return openai.OpenAI(api_key=token.key, base_url=program.url + "/v1", max_retries=0, timeout=20)


def say(api: openai.OpenAI, model: str) -> tuple[str, str]:
    """A streamed chat: its text and the id of its request."""
    raw = api.chat.completions.with_raw_response.create(
        model=model, messages=HELLO, max_tokens=8, stream=True
    )
    text = "".join(c.choices[0].delta.content or "" for c in raw.parse() if c.choices)
    return text, raw.headers["x-oneapi-request-id"]


@pytest.mark.timeout(120)
def test_from_the_first_start_to_a_paid_answer_and_on_after_a_restart(
    tmp_path: Path, upstream: Upstream
) -> None:
    program = Program(tmp_path / "run", options=[])
    with program:
        assert fetch(program.url, "GET", "/api/status").json["data"]["version"] == __version__
        page = fetch(program.url, "GET", "/")
        assert page.status == 200
        assert b"One API" in page.body
        admin = Admin(program.url)
        channel = admin.add_channel(models="m,e", base_url=upstream.at(Vendor(usage=(13, 7))))
        token = admin.add_token(name="smoke", unlimited_quota=False, remain_quota=1_000_000)
        with client(program, token) as api:
            plain = api.chat.completions.create(model="m", messages=HELLO)
            assert plain.choices[0].message.content == "Hello, world"
            text, request_id = say(api, "m")
            assert text == "Hello, world"
            assert len(api.embeddings.create(model="e", input=["a", "b"]).data) == 2
        rows = admin.wait_for_logs(3)
        assert [row["quota"] for row in rows] == [13 * RATIO, 20 * RATIO, 20 * RATIO]
        assert rows[1]["request_id"] == request_id
        spent = sum(row["quota"] for row in rows)
        assert admin.channel(channel)["used_quota"] == spent
        assert admin.token(token.id)["used_quota"] == spent
    ledger_check(program.database, limits={token.id: 1_000_000})
    with program:
        admin = Admin(program.url)
        assert len(admin.logs()) == 3
        with client(program, token) as api:
            assert say(api, "m")[0] == "Hello, world"
    ledger_check(program.database, limits={token.id: 1_000_000})
    assert list((tmp_path / "run" / "logs").glob("oneapi*.log"))


def test_a_vendor_without_usage_is_counted_with_the_vocabularies_inside(
    tmp_path: Path, upstream: Upstream
) -> None:
    with Program(tmp_path / "run") as program:
        admin = Admin(program.url)
        admin.add_channel(models="gpt-4o,gpt-4", base_url=upstream.at(Vendor(usage=None)))
        token = admin.add_token()
        with client(program, token) as api:
            for model in ("gpt-4o", "gpt-4"):
                assert say(api, model)[0] == "Hello, world"
        counts = [(row["prompt_tokens"], row["completion_tokens"]) for row in admin.wait_for_logs(2)]
        assert counts == [(8, 3), (8, 3)]


@pytest.mark.timeout(120)
def test_a_real_model_answers_through_it(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    with llama.running(pytestconfig.cache.mkdir("model")) as url, Program(tmp_path / "run") as program:
        admin = Admin(program.url)
        admin.add_channel(models=llama.MODEL, base_url=url)
        token = admin.add_token()
        with client(program, token) as api:
            plain = api.chat.completions.create(model=llama.MODEL, messages=HELLO, max_tokens=8)
            assert say(api, llama.MODEL)[0]
        assert plain.usage is not None
        streamed, first = admin.wait_for_logs(2)
        assert first["prompt_tokens"] == streamed["prompt_tokens"] == plain.usage.prompt_tokens
        assert first["quota"] == plain.usage.total_tokens * RATIO


def test_the_database_is_created_where_it_is_expected(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Program(home, cwd=elsewhere):
        assert (home / DATABASE).exists() is frozen()
        assert (elsewhere / DATABASE).exists() is not frozen()


def test_a_database_in_the_working_directory_is_used(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    with Program(tmp_path / "first") as program:
        Admin(program.url).add_channel(name="carried over", models="m")
    elsewhere.mkdir()
    (elsewhere / DATABASE).write_bytes(program.database.read_bytes())
    with Program(home, cwd=elsewhere) as program:
        channels = Admin(program.url).call("GET", "/api/channel/?p=0")
        assert [channel["name"] for channel in channels] == ["carried over"]


def test_it_says_its_version(tmp_path: Path) -> None:
    run = run_once(tmp_path, "--version")
    assert (run.returncode, run.stdout.strip()) == (0, __version__)


def test_it_explains_itself(tmp_path: Path) -> None:
    run = run_once(tmp_path, "--help")
    assert run.returncode == 0
    assert "[--port <port>] [--log-dir <log directory>]" in run.stdout


def test_an_unknown_flag_is_refused(tmp_path: Path) -> None:
    run = run_once(tmp_path, "--no-such-flag")
    assert run.returncode == 2
    assert "no-such-flag" in run.stderr


@pytest.mark.parametrize("port", ["abc", "70000", "-1"])
def test_a_wrong_port_is_refused_by_name(tmp_path: Path, port: str) -> None:
    run = run_once(tmp_path, env={"PORT": port})
    assert run.returncode == 1
    assert "PORT" in run.stderr
    assert not (tmp_path / DATABASE).exists()
