"""What holds for every test: the event loop it runs on, and that it leaves no unexpected line in the log."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Mapping

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]  # not made for Windows

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def loop_factory() -> tuple[str, LoopFactory]:
    """The loop that the environment variable EVENT_LOOP names, as for the program itself."""
    choice = os.environ.get("EVENT_LOOP", "auto")
    if choice == "uvloop" or (choice == "auto" and uvloop is not None):
        return "uvloop", uvloop.new_event_loop
    return "asyncio", asyncio.new_event_loop


def pytest_asyncio_loop_factories() -> Mapping[str, LoopFactory]:
    name, factory = loop_factory()
    return {name: factory}


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> Iterator[BlockBuster]:
    """Fail a test when the program does blocking work (a query, a file, a sleep) on the event loop."""
    with blockbuster_ctx("oneapi") as blockbuster:
        # Nobody is served before the database is open.
        for function in blockbuster.functions.values():
            function.can_block_in("oneapi/store/store.py", "open")
        yield blockbuster


class _Collector(logging.Handler):
    """Keeps what the program logged as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
        self.lines.append(f"{record.levelname} {record.name}: {text}")


@pytest.fixture(autouse=True)
def _no_unexpected_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that made the program warn, unless ``@pytest.mark.expected_log("text", ...)`` says so.

    Every text must be part of a line, and every line must contain a text.
    """
    marker = request.node.get_closest_marker("expected_log")
    expected: tuple[str, ...] = marker.args if marker else ()
    collector = _Collector()
    loggers = [logging.getLogger(name) for name in ("oneapi", "asyncio", "tornado")]
    for logger in loggers:
        logger.addHandler(collector)
    yield
    for logger in loggers:
        logger.removeHandler(collector)
    unexpected = [line for line in collector.lines if not any(text in line for text in expected)]
    missing = [text for text in expected if not any(text in line for line in collector.lines)]
    assert not unexpected, "unexpected log lines:\n" + "\n".join(unexpected)
    assert not missing, f"not logged: {missing}"
