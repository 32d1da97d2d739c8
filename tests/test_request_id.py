"""Request ids: their form, their order, and that none comes twice."""

import re
import time

import pytest

from oneapi import request_id


def test_a_request_id_is_the_local_second_nine_digits_and_eight_random_ones() -> None:
    before = time.strftime("%Y%m%d%H%M%S")
    made = request_id.new()
    after = time.strftime("%Y%m%d%H%M%S")
    assert re.fullmatch(r"\d{31}", made)
    assert before <= made[:14] <= after


def test_request_ids_only_grow() -> None:
    made = [request_id.new() for _ in range(20_000)]
    assert made == sorted(made)
    assert len({one[:23] for one in made}) == len(made)


def test_request_ids_go_on_growing_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = request_id.new()
    hour_ago = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: hour_ago)
    second, third = request_id.new(), request_id.new()
    assert first[:23] < second[:23] < third[:23]


def test_the_same_moment_in_another_process_gives_another_id(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = time.time_ns() + 10**9
    monkeypatch.setattr(time, "time_ns", lambda: moment)
    monkeypatch.setattr(request_id, "_last_ns", 0)
    first = request_id.new()
    monkeypatch.setattr(request_id, "_last_ns", 0)
    monkeypatch.setattr(request_id, "_second", "")
    assert first[:23] == (second := request_id.new())[:23]
    assert first != second
