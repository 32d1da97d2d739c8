"""Measures the program against the budgets of its design, beside nginx in the same run, and prints one table.

    python scripts/bench.py [--quick] [--only NAME ...] [--json FILE]

NAME is start, requests, latency, streams or idle-streams. Exit status 1: a budget is missed; 2: a tool is
missing. Needs wrk and nginx. Everything happens on loopback, in temporary folders, for a bounded time.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import orjson

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # the tests' helpers start the program and check the ledger

from scripts.bench_load import MODEL, PATH, request  # noqa: E402
from tests.support.admin import Admin, fetch  # noqa: E402
from tests.support.ledger import ROOT_QUOTA, ledger_check, rows  # noqa: E402
from tests.support.program import Program, free_port, frozen  # noqa: E402

LIMIT = 100_000_000_000
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ANSWER = {
    "id": "chatcmpl-bench",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "A short answer of some words. " * 6},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46},
    "system_fingerprint": "fp_bench",
}
NGINX = """
worker_processes 1;
worker_rlimit_nofile 16384;
pid nginx.pid;
error_log stderr error;
events { worker_connections 8192; }
http {
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    %s
}
"""
VENDOR = """
    server {
        listen 127.0.0.1:%d backlog=4096;
        location / { default_type application/json; return 200 '%s'; }
    }
"""
PROXY = """
    upstream vendor { server 127.0.0.1:%d; keepalive 64; keepalive_requests 100000000; }
    server {
        listen 127.0.0.1:%d backlog=4096;
        location / {
            proxy_pass http://vendor;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
"""
WRK = """
wrk.method = "POST"
wrk.path = "%s"
wrk.headers["Authorization"] = "Bearer %s"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[%s]]
done = function(summary, latency, requests)
    local e = summary.errors
    local broken = e.connect + e.read + e.write + e.timeout
    io.write(string.format("RESULT %%d %%d %%d %%d\\n", summary.requests, summary.duration, e.status, broken))
end
"""


class BenchError(Exception):
    """The measurement itself did not work."""


@dataclass
class Row:
    """One line of the table. ``budget`` "" is for information only."""

    what: str
    measured: str
    budget: str = ""
    met: bool = True


@dataclass
class Report:
    """What was measured so far: rows for people, ``values`` for programs."""

    rows: list[Row] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)

    def note(self, key: str, value: float, what: str, form: str) -> None:
        """A figure without a budget."""
        self.values[key] = value
        self.rows.append(Row(what, form.format(value)))

    def at_most(self, key: str, value: float, limit: float, what: str, form: str) -> None:
        """A figure that must not be above ``limit``."""
        self.values[key] = value
        self.rows.append(Row(what, form.format(value), "<= " + form.format(limit), value <= limit))

    def at_least(self, key: str, value: float, limit: float, what: str, form: str) -> None:
        """A figure that must not be below ``limit``."""
        self.values[key] = value
        self.rows.append(Row(what, form.format(value), ">= " + form.format(limit), value >= limit))

    def print(self) -> None:
        """The table."""
        heads = ("what", "measured", "budget", "")
        lines = [
            (r.what, r.measured, r.budget, ("ok" if r.met else "MISSED") * bool(r.budget)) for r in self.rows
        ]
        widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(4)]
        for line in [heads, tuple("-" * w for w in widths), *lines]:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def cpu_s(pid: int) -> float:
    """CPU seconds that a process, with all its threads, has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def nginx(folder: Path, config: str, port: int) -> Iterator[int]:
    """A running nginx; the process id of its only worker."""
    folder.mkdir()
    (folder / "nginx.conf").write_text(NGINX % config)
    command = [str(find("nginx")), "-p", str(folder), "-c", "nginx.conf", "-g", "daemon off;"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}"), "nginx")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield int(children[0])
    finally:
        process.terminate()
        process.wait(10)


def answers(url: str) -> bool:
    """Whether a GET gets any answer."""
    try:
        fetch(url, "GET", "/")
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll ``condition`` for at most 10 s."""
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"{what} did not get ready")
        time.sleep(0.01)


class Load:
    """A process of ``bench_load.py``."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, str(HERE / "bench_load.py"), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.to = cast(IO[str], self.process.stdin)
        self.out = cast(IO[str], self.process.stdout)

    def tell(self, command: str) -> None:
        """Send a command."""
        self.to.write(command + "\n")
        self.to.flush()

    def hear(self) -> dict[str, Any]:
        """The next line that it says."""
        line = self.out.readline()
        if not line:
            raise BenchError("a load process ended early")
        said: dict[str, Any] = orjson.loads(line)
        return said

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self.to.close()
        self.out.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def pid_of(program: Program) -> int:
    """The process that does the work. An executable is two: one unpacks the other."""
    if program.process is None:
        raise BenchError("the program is not running")
    pid = program.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children and frozen() else pid


@dataclass
class Ours:
    """The program under test with one channel and one limited token; every answer is accounted for."""

    program: Program
    key: str
    token: int
    certain: int = 0  # answers that were read to their end
    possible: int = 0  # requests that were cut off when a load ended: charged or not

    @property
    def pid(self) -> int:
        """Its process."""
        return pid_of(self.program)

    def check(self, report: Report) -> None:
        """Stop the program, then compare its ledger with what clients got."""
        self.program.stop()
        database = self.program.database
        count = int(str(rows(database, "SELECT COUNT(*) FROM logs WHERE type = 2")[0][0]))
        wrong = 0 if self.certain <= count <= self.certain + self.possible else 1
        try:
            ledger_check(database, granted={1: ROOT_QUOTA}, limits={self.token: LIMIT})
        except AssertionError as error:
            print(error, file=sys.stderr)
            wrong += 1
        what = f"ledger: {count} rows, {self.certain} answers, {self.possible} cut off"
        report.at_most("ledger_errors", wrong, 0, what, "{:.0f} errors")


@contextmanager
def ours(folder: Path, vendor: str) -> Iterator[Ours]:
    """Our program as in production: accounting and log file on."""
    env = {"EVENT_LOOP": "uvloop", "GLOBAL_API_RATE_LIMIT": "0"}
    program = Program(folder / "run", env=env, options=["--log-dir", "logs"])
    try:
        program.start()
        admin = Admin(program.url)
        admin.add_channel(models=MODEL, base_url=vendor)
        token = admin.add_token(name="bench", unlimited_quota=False, remain_quota=LIMIT)
        yield Ours(program, token.key, token.id)
    except BenchError:
        print(program.output[-3000:], file=sys.stderr)
        raise
    finally:
        program.kill()


@dataclass(frozen=True)
class Server:
    """Something that wrk asks, and the process whose CPU counts."""

    url: str
    key: str
    pid: int


@dataclass(frozen=True)
class Run:
    """What one run of wrk saw."""

    good: int
    rate: float
    cpu_us: float  # of the measured process, per good answer


def wrk(folder: Path, server: Server, *, clients: int, seconds: int) -> Run:
    """Load a server and charge its CPU to the answers. Failures are errors."""
    script = folder / "post.lua"
    body = request(server.key, stream=False).split(b"\r\n\r\n", 1)[1].decode()
    script.write_text(WRK % (PATH, server.key, body))
    before = cpu_s(server.pid)
    command = [
        str(find("wrk")),
        "-t1",
        f"-c{clients}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        str(script),
        server.url,
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    time.sleep(0.3)  # what is settled a moment later belongs to the request
    used = cpu_s(server.pid) - before
    words = next(line for line in output.splitlines() if line.startswith("RESULT")).split()
    requests, duration_us, bad, broken = (int(word) for word in words[1:])
    if bad or broken:
        raise BenchError(f"{bad} answers were no success, {broken} connections failed")
    return Run(requests, requests / duration_us * 1e6, used / requests * 1e6)


def measure_requests(folder: Path, report: Report, *, quick: bool) -> None:
    """CPU per request and throughput, ours and nginx's in turn."""
    seconds = 2 if quick else 5
    vendor_port, proxy_port = free_port(), free_port()
    answer = orjson.dumps(ANSWER).decode()
    with ExitStack() as stack:
        stack.enter_context(nginx(folder / "vendor", VENDOR % (vendor_port, answer), vendor_port))
        worker = stack.enter_context(nginx(folder / "proxy", PROXY % (vendor_port, proxy_port), proxy_port))
        us = stack.enter_context(ours(folder, f"http://127.0.0.1:{vendor_port}"))
        proxy = Server(f"http://127.0.0.1:{proxy_port}", us.key, worker)
        load(folder, us, clients=32, seconds=1)  # warm up
        for clients in (32, 256):
            first = wrk(folder, proxy, clients=clients, seconds=seconds)
            run = load(folder, us, clients=clients, seconds=seconds)
            second = wrk(folder, proxy, clients=clients, seconds=seconds)
            nginx_cpu, nginx_rate = (first.cpu_us + second.cpu_us) / 2, (first.rate + second.rate) / 2
            name = f"{clients} clients"
            report.note(f"nginx_cpu_us_{clients}", nginx_cpu, f"nginx: CPU per request, {name}", "{:.1f} us")
            report.note(f"cpu_us_{clients}", run.cpu_us, f"CPU per request, {name}", "{:.1f} us")
            ratio = run.cpu_us / nginx_cpu
            report.at_most(f"cpu_ratio_{clients}", ratio, 5, f"CPU per request / nginx, {name}", "{:.2f} x")
            report.note(f"nginx_rate_{clients}", nginx_rate, f"nginx: requests/s, {name}", "{:,.0f}")
            report.at_least(f"rate_{clients}", run.rate, 8000, f"requests/s, {name}", "{:,.0f}")
            ratio = run.rate / nginx_rate
            report.at_least(f"rate_ratio_{clients}", ratio, 0.15, f"requests/s / nginx, {name}", "{:.2f} x")
        report.note("rss_mb_requests", rss_mb(us.pid), "RSS after this load", "{:.0f} MB")
        us.check(report)


def load(folder: Path, us: Ours, *, clients: int, seconds: int) -> Run:
    """Load our program with wrk and count for the ledger."""
    run = wrk(folder, Server(us.program.url, us.key, us.pid), clients=clients, seconds=seconds)
    us.certain += run.good
    us.possible += clients  # wrk ends by closing what is in flight
    return run


def measure_latency(folder: Path, report: Report, *, quick: bool) -> None:
    """What we add at 200 requests/s, against asking the vendor directly in the same run."""
    seconds = 4 if quick else 15
    port = free_port()
    answer = orjson.dumps(ANSWER).decode()
    with ExitStack() as stack:
        stack.enter_context(nginx(folder / "vendor", VENDOR % (port, answer), port))
        vendor = f"http://127.0.0.1:{port}"
        us = stack.enter_context(ours(folder, vendor))
        pace = stack.enter_context(Load("paced", seconds, 200, vendor, us.key, us.program.url, us.key))
        direct, through = pace.hear(), pace.hear()
        us.certain += through["answered"]
        if through["answered"] != through["asked"] - through["late"]:
            raise BenchError(f"not all requests were answered: {through}")
        name = "added latency at 200 requests/s"
        report.note("direct_p50_ms", direct["p50"], "direct: p50", "{:.2f} ms")
        report.note("direct_p99_ms", direct["p99"], "direct: p99", "{:.2f} ms")
        report.at_most("added_p50_ms", through["p50"] - direct["p50"], 0.5, f"{name}, p50", "{:.2f} ms")
        report.at_most("added_p99_ms", through["p99"] - direct["p99"], 3, f"{name}, p99", "{:.2f} ms")
        report.at_most("late", through["late"], 0, "requests that found no free connection", "{:.0f}")
        us.check(report)


def measure_streams(folder: Path, report: Report, *, quick: bool) -> None:
    """1,000 streams of 20 chunks a second."""
    seconds, count = (3, 1000) if quick else (10, 1000)
    with Load("vendor") as vendor:
        url = f"http://127.0.0.1:{vendor.hear()['port']}"
        with Load("streams", url, "none", count) as client:
            direct = watch(client, count, 3)
            vendor.tell("finish")
            client.hear()
        vendor.tell("run")
        with ours(folder, url) as us:
            with Load("streams", us.program.url, us.key, count) as client:
                all_open(client, count)
                before = cpu_s(us.pid)
                seen = watch(client, count, seconds, opened=True)
                used = cpu_s(us.pid) - before
                memory = rss_mb(us.pid)
                vendor.tell("finish")
                us.certain += client.hear()["ended"]
            name = f"{count:,} streams"
            per_chunk = used / seen["chunks"] * 1e6
            report.note("chunks_per_s", seen["chunks"] / seconds, f"{name}: chunks/s", "{:,.0f}")
            report.at_most("cpu_us_chunk", per_chunk, 25, f"{name}: CPU per chunk", "{:.1f} us")
            report.at_most("rss_mb_streams", memory, 150, f"{name}: RSS", "{:.0f} MB")
            report.note("direct_chunk_p99_ms", direct["p99"], f"{name}: direct, p99 delay", "{:.1f} ms")
            report.note("chunk_p50_ms", seen["p50"], f"{name}: p50 delay", "{:.1f} ms")
            report.at_most("chunk_p99_ms", seen["p99"], 50, f"{name}: p99 delay", "{:.1f} ms")
            us.check(report)


def all_open(client: Load, count: int) -> None:
    """Wait until every stream has its first chunk."""
    said = client.hear()
    if said != {"begun": count, "failed": 0}:
        raise BenchError(f"not all streams began: {said}")


def watch(client: Load, count: int, seconds: float, *, opened: bool = False) -> dict[str, Any]:
    """Count chunks and their delays for a while."""
    if not opened:
        all_open(client, count)
    client.tell("start")
    time.sleep(seconds)
    client.tell("stop")
    return client.hear()


def measure_idle_streams(folder: Path, report: Report, *, quick: bool) -> None:
    """5,000 streams that are open and silent."""
    count = 1000 if quick else 5000
    with Load("vendor") as vendor:
        url = f"http://127.0.0.1:{vendor.hear()['port']}"
        vendor.tell("hold")
        with ours(folder, url) as us:
            with Load("streams", us.program.url, us.key, count) as client:
                all_open(client, count)
                time.sleep(1)
                memory = rss_mb(us.pid)
                before = cpu_s(us.pid)
                time.sleep(2)
                idle_cpu = (cpu_s(us.pid) - before) / 2 * 100
                vendor.tell("finish")
                us.certain += client.hear()["ended"]
            report.at_most("rss_mb_idle_streams", memory, 250, f"{count:,} idle streams: RSS", "{:.0f} MB")
            report.note("cpu_idle_streams", idle_cpu, f"{count:,} idle streams: CPU", "{:.1f} %")
            us.check(report)


def measure_start(folder: Path, report: Report, *, quick: bool) -> None:
    """From nothing to the first answered request, in an empty folder; and memory at rest."""
    times = []
    memory = 0.0
    for number in range(2 if quick else 5):
        program = Program(folder / f"start-{number}", env={"EVENT_LOOP": "uvloop"})
        begin = time.monotonic()
        program.start()
        times.append(time.monotonic() - begin)
        time.sleep(0.5)
        memory = max(memory, rss_mb(pid_of(program)))
        program.stop()
    median = sorted(times)[len(times) // 2]
    report.at_most("start_s", median, 1.2 if frozen() else 0.6, "cold start to the first answer", "{:.2f} s")
    report.at_most("rss_mb_idle", memory, 70, "idle process: RSS", "{:.0f} MB")


MEASUREMENTS: dict[str, Callable[..., None]] = {
    "start": measure_start,
    "requests": measure_requests,
    "latency": measure_latency,
    "streams": measure_streams,
    "idle-streams": measure_idle_streams,
}


def missing_tools() -> list[str]:
    """Programs that the measurements need and this machine has not."""
    return [name for name in ("wrk", "nginx") if find(name) is None]


def find(program: str) -> str | None:
    """Where a program lies; the PATH of an ordinary user may lack the folders of the system's."""
    return shutil.which(program) or shutil.which(program, path="/usr/local/sbin:/usr/sbin:/sbin")


def raise_open_files() -> None:
    """5,000 streams are 10,000 sockets: allow as many as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def measure(names: list[str], report: Report, *, quick: bool) -> None:
    """Run the measurements one after the other, each with programs of its own."""
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            MEASUREMENTS[name](Path(folder), report, quick=quick)


def main() -> int:
    """0: all budgets are met, 1: one is missed, 2: it cannot be measured here."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="shorter runs, for a first look")
    parser.add_argument("--only", action="append", choices=list(MEASUREMENTS), help="repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    arguments = parser.parse_args()
    if missing := missing_tools():
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    raise_open_files()
    report = Report()
    try:
        measure(arguments.only or list(MEASUREMENTS), report, quick=arguments.quick)
    except BenchError as error:
        report.rows.append(Row(f"measuring ended: {error}", "", "no failures", met=False))
    report.print()
    if arguments.json:
        found = {"values": report.values, "rows": [asdict(row) for row in report.rows]}
        arguments.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    return 0 if all(row.met for row in report.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
