"""The real program as a process: from source, or the executable that ``ONEAPI_EXECUTABLE`` names."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
DATABASE = "one-api.db"
# What a process needs to run at all; everything else would be a setting that the test did not choose.
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "COVERAGE_PROCESS_CONFIG")


def frozen() -> bool:
    """Whether the tests run against an executable."""
    return bool(os.environ.get("ONEAPI_EXECUTABLE"))


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(folder: Path) -> list[str]:
    """How the program is called. An executable gets a name in ``folder``: its database belongs beside it."""
    executable = os.environ.get("ONEAPI_EXECUTABLE")
    if not executable:
        return [sys.executable, str(ROOT / "oneapi.py")]
    source = Path(executable).resolve()
    own = folder / source.name
    if not own.exists():
        try:
            os.link(source, own)
        except OSError:
            shutil.copy2(source, own)
    return [str(own)]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """A clean environment that listens on loopback only."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**kept, "LISTEN_ADDRESS": "127.0.0.1", "TZ": "UTC", **extra}


class Program:
    """A program that runs in ``folder``; as a context manager it is started and, at the end, stopped.

    An executable lies in ``folder``; ``cwd`` is the working directory where that is another.
    ``stop`` insists on exit code 0. Output goes to two files beside ``folder`` and is kept over restarts.
    """

    def __init__(
        self,
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = ("--log-dir", ""),
        cwd: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.cwd = cwd or folder
        self.options = list(options)
        self.env = environment(env or {})
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._out = folder.with_name(folder.name + ".stdout")
        self._err = folder.with_name(folder.name + ".stderr")

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        """The SQLite file: beside an executable, from source in the working directory."""
        return (self.folder if frozen() else self.cwd) / DATABASE

    @property
    def output(self) -> str:
        """Everything that it has printed so far, standard output first."""
        return "".join(
            p.read_text(encoding="utf-8", errors="replace") for p in (self._out, self._err) if p.exists()
        )

    def start(self, *, timeout_s: float = 20) -> None:
        """Start it and return when it answers. Another process may take the free port: then once more."""
        for last in (False, True):
            self.port = free_port()
            argv = [*command(self.folder), "--port", str(self.port), *self.options]
            with self._out.open("ab") as out, self._err.open("ab") as err:
                self.process = subprocess.Popen(
                    argv,
                    cwd=self.cwd,
                    env=self.env,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
            if self._answers(time.monotonic() + timeout_s):
                return
            self.kill()
            if last or "in use" not in self.output:
                raise AssertionError(f"the program did not start:\n{self.output}")

    def _answers(self, deadline: float) -> bool:
        """Whether ``/api/status`` answers before ``deadline`` and before the process ends."""
        assert self.process is not None
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self.url + "/api/status", timeout=5) as answer:
                    return bool(answer.status == 200)
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.005)
        return False

    def stop(self, *, timeout_s: float = 40) -> None:
        """SIGTERM; it must end by itself and with 0."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout_s)
        finally:
            self.kill()
        assert code == 0, f"exit code {code}:\n{self.output}"

    def kill(self) -> None:
        """End it at once, as a power cut would. An executable is two processes: one unpacks the other."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def __enter__(self) -> "Program":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()
            sys.stderr.write(self.output)  # a failing test shows it


def run_once(
    folder: Path, *options: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The program called with ``options`` that make it end by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [*command(folder), *options],
        cwd=folder,
        env=environment(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
