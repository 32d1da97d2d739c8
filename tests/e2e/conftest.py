"""One running program for the whole session; each test has its own model, channels and token in it."""

import itertools
from collections.abc import Iterator

import pytest

from tests.e2e.stage import SETTINGS, Stage
from tests.support import llama
from tests.support.admin import Admin
from tests.support.ledger import ledger_check
from tests.support.program import Program
from tests.support.upstream import Upstream

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("program") / "run", env=SETTINGS) as running:
        yield running


@pytest.fixture(scope="session")
def admin(program: Program) -> Admin:
    session = Admin(program.url)
    session.option("RetryTimes", "5")
    return session


@pytest.fixture
def stage(program: Program, admin: Admin, upstream: Upstream) -> Iterator[Stage]:
    """After each test the ledger must agree to the unit."""
    stage = Stage(program, admin, upstream, f"model-{next(_numbers)}")
    yield stage
    stage.api.close()
    ledger_check(program.database, limits={stage.token.id: stage.limit})


@pytest.fixture(scope="session")
def real_model(pytestconfig: pytest.Config) -> Iterator[str]:
    """The base URL of llama.cpp with a small model."""
    assert pytestconfig.cache is not None
    with llama.running(pytestconfig.cache.mkdir("model")) as url:
        yield url
