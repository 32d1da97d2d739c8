"""Clients that leave, and a program that is told to end: nothing is lost, nothing runs on."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import orjson
import pytest

from tests.e2e.stage import HELLO, RATIO, SETTINGS, Place, Stage, events, text_of
from tests.support.admin import Admin
from tests.support.ledger import ledger_check, rows
from tests.support.program import Program
from tests.support.upstream import Gate, Upstream
from tests.support.vendor import Vendor

CUT_WITHIN_S = 0.1
TRIES = 5  # of which the best counts: a busy machine only ever adds time


@contextmanager
def open_stream(stage: Stage) -> Iterator[socket.socket]:
    """A raw streaming request; leaving the block closes the connection."""
    body = orjson.dumps({"model": stage.model, "messages": HELLO, "stream": True})
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {stage.token.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", stage.program.port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        yield connection


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    """What arrives up to and including ``mark``."""
    received = b""
    while mark not in received:
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    return received


def test_who_leaves_in_mid_stream_stops_the_vendor_at_once_and_pays_what_came(stage: Stage) -> None:
    gate = Gate(stage.upstream)
    place = stage.channel(Vendor(pieces=["one ", "two ", "three ", "four "], each=gate))
    gate.allow(2)
    with open_stream(stage) as connection:
        read_until(connection, b"two ")
    stage.upstream.wait_for(lambda: stage.seen(place)[0].cut_at)
    row = stage.log()
    assert 1 <= row["completion_tokens"] <= 4
    assert row["quota"] == (row["prompt_tokens"] + row["completion_tokens"]) * RATIO
    assert stage.spent() == row["quota"]


def test_who_leaves_before_the_first_byte_stops_the_vendor_and_pays_nothing(stage: Stage) -> None:
    gate = Gate(stage.upstream)
    place = stage.channel(Vendor(first=gate))
    with open_stream(stage):
        stage.upstream.wait_for(lambda: stage.seen(place))
    stage.upstream.wait_for(lambda: stage.seen(place)[0].cut_at)
    stage.assert_nothing_charged()


def reached(stage: Stage, place: Place, number: int) -> bool:
    """Whether the vendor has the request of this number."""
    return len(stage.seen(place)) > number


def cut_at(stage: Stage, place: Place, number: int) -> float:
    """When the vendor saw that it was left alone; 0 as long as it has not."""
    return stage.seen(place)[number].cut_at or 0


@pytest.mark.parametrize("begun", [True, False], ids=["in mid-stream", "before the first byte"])
def test_the_vendor_is_stopped_within_the_promised_time(stage: Stage, *, begun: bool) -> None:
    gate = Gate(stage.upstream)
    place = stage.channel(Vendor(pieces=["word "] * 50, each=gate) if begun else Vendor(first=gate))
    delays_s: list[float] = []
    while len(delays_s) < TRIES and (not delays_s or min(delays_s) > CUT_WITHIN_S):
        number = len(delays_s)
        with open_stream(stage) as connection:
            stage.upstream.wait_for(partial(reached, stage, place, number))
            if begun:
                gate.allow(number + 1)  # who left before may still wait there
                read_until(connection, b"data: ")
        left = time.monotonic()
        stage.upstream.wait_for(partial(cut_at, stage, place, number))
        delays_s.append(cut_at(stage, place, number) - left)
    assert min(delays_s) <= CUT_WITHIN_S, delays_s


def test_leaving_gives_the_reserved_quota_back(stage: Stage) -> None:
    gate = Gate(stage.upstream)
    slow = stage.channel(Vendor(first=gate))
    stage.token = stage.new_token(4 * 500 * RATIO, "g-" + stage.model)
    stage.limit = 4 * 500 * RATIO
    for number in range(8):
        with open_stream(stage):
            stage.upstream.wait_for(partial(arrived, stage, slow, number))
        stage.upstream.wait_for(partial(was_cut, stage, slow, number))
    stage.assert_nothing_charged()


def arrived(stage: Stage, place: Place, number: int) -> bool:
    """Whether the vendor has the request of that number, from 0."""
    return len(stage.seen(place)) > number


def was_cut(stage: Stage, place: Place, number: int) -> bool:
    """Whether its connection was cut."""
    return stage.seen(place)[number].cut_at is not None


@contextmanager
def own_program(folder: Path) -> Iterator[Program]:
    """A program that the test may end."""
    program = Program(folder / "run", env=SETTINGS)
    program.start()
    try:
        yield program
    finally:
        program.kill()


def test_sigterm_lets_a_running_stream_finish(tmp_path: Path, upstream: Upstream) -> None:
    with own_program(tmp_path) as program:
        stage = Stage(program, Admin(program.url), upstream, "sigterm-model")
        gate = Gate(upstream)
        stage.channel(Vendor(usage=(5, 3), pieces=["one ", "two ", "three"], each=gate))
        gate.allow(1)
        with open_stream(stage) as connection:
            received = read_until(connection, b"one ")
            ending = threading.Thread(target=program.stop)
            ending.start()
            wait_until_closed(program.port)
            gate.allow(2)
            received += read_until(connection, b"\r\n0\r\n\r\n")
        ending.join(40)
        assert program.process is None, "it ended with 0"
        assert b"[DONE]" in received
        assert b"three" in received
        ledger_check(program.database, limits={stage.token.id: stage.limit})
        assert rows(program.database, "SELECT quota FROM logs WHERE type = 2") == [(8 * RATIO,)]


def wait_until_closed(port: int) -> None:
    """Return when nobody accepts connections on ``port`` any more."""
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return
        assert time.monotonic() < deadline, "it still accepts connections"
        time.sleep(0.02)


def test_request_ids_stay_unique_over_restarts_and_data_stays(tmp_path: Path, upstream: Upstream) -> None:
    ids = []
    with own_program(tmp_path) as program:
        stage = Stage(program, Admin(program.url), upstream, "restart-model")
        stage.channel(Vendor(usage=(5, 3)))
        for round_number in range(3):
            if round_number:
                program.stop()
                program.start()
                stage.admin = Admin(program.url)
            for _ in range(5):
                answer = stage.chat()
                assert answer.status == 200
                ids.append(answer.headers["x-oneapi-request-id"])
        assert stage.spent() == 15 * 8 * RATIO
        program.stop()
        logged = [
            row[0] for row in rows(program.database, "SELECT request_id FROM logs WHERE type = 2 ORDER BY id")
        ]
    assert logged == ids
    assert len(set(ids)) == 15


def test_a_power_cut_loses_no_answered_charge(tmp_path: Path, upstream: Upstream) -> None:
    with own_program(tmp_path) as program:
        stage = Stage(program, Admin(program.url), upstream, "power-model")
        stage.channel(Vendor(usage=(5, 3)))
        for _ in range(10):
            assert stage.chat().status == 200
        assert stage.spent() == 10 * 8 * RATIO
        program.kill()
        program.start()
        stage.admin = Admin(program.url)
        assert stage.spent() == 10 * 8 * RATIO
        program.stop()
        ledger_check(program.database, limits={stage.token.id: stage.limit})


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_works_on_either_event_loop(tmp_path: Path, upstream: Upstream, loop: str) -> None:
    with Program(tmp_path / "run", env={**SETTINGS, "EVENT_LOOP": loop}) as program:
        stage = Stage(program, Admin(program.url), upstream, f"model-on-{loop}")
        stage.channel(Vendor(usage=(5, 3)))
        answer = stage.chat(stream=True)
        assert text_of(events(answer.body)) == "Hello, world"
        stage.assert_charged((5, 3), answer.headers["x-oneapi-request-id"])
