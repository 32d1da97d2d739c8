"""The benchmark's own parts: what it measures with must work, and a missed budget must fail."""

import time

import pytest

from scripts.bench import Load, Report, all_open, cpu_s, rss_mb, watch
from scripts.bench_load import percentiles, whole
from tests.support.upstream import Upstream
from tests.support.vendor import Vendor


def test_streams_begin_flow_and_end_as_they_are_told() -> None:
    with Load("vendor") as vendor:
        url = f"http://127.0.0.1:{vendor.hear()['port']}"
        with Load("streams", url, "key", 10) as client:
            all_open(client, 10)
            seen = watch(client, 10, 0.5, opened=True)
            vendor.tell("finish")
            assert client.hear() == {"ended": 10}
    assert 30 <= seen["chunks"] <= 400, "about 20 a second and stream, more when the machine is busy"
    assert 0 < seen["p50"] <= seen["p99"] <= seen["max"]


def test_paced_requests_are_all_answered() -> None:
    with Upstream() as upstream, Load("paced", 0.5, 40, upstream.url, "key") as pace:
        upstream.serve_everywhere(Vendor())
        seen = pace.hear()
    assert (seen["asked"], seen["answered"] + seen["late"]) == (20, 20)
    assert seen["answered"] > 0


def test_the_figures_of_a_process_are_its_own() -> None:
    with Load("vendor") as vendor:
        vendor.hear()
        begin = cpu_s(vendor.process.pid)
        deadline = time.monotonic() + 5
        while cpu_s(vendor.process.pid) == begin:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert 5 < rss_mb(vendor.process.pid) < 200


def test_a_missed_budget_is_seen_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.at_most("a", 3.0, 2.0, "too much", "{:.1f}")
    report.at_least("b", 3.0, 2.0, "enough", "{:.1f}")
    report.print()
    assert [row.met for row in report.rows] == [False, True]
    table = capsys.readouterr().out.splitlines()
    assert table[2].split() == ["too", "much", "3.0", "<=", "2.0", "MISSED"]
    assert table[3].split() == ["enough", "3.0", ">=", "2.0", "ok"]


@pytest.mark.parametrize("cut", [3, 20, 39])
def test_a_message_is_whole_when_its_body_is(cut: int) -> None:
    message = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    assert whole(message)
    assert not whole(message[:cut])


def test_percentiles_are_taken_from_the_ordered_values() -> None:
    assert percentiles([float(n) for n in range(100, -1, -1)]) == {"p50": 50.0, "p99": 99.0, "max": 100.0}
    assert percentiles([]) == {"p50": 0.0, "p99": 0.0, "max": 0.0}
