"""Log lines in One API's form, written by one thread so that the event loop never waits for a file or a pipe.

    [INFO] 2025/01/31 - 15:04:05 | <request id> | message          (without id: the system itself)
    [GIN] 2025/01/31 - 15:04:05 | <request id> | 200 | 1.234ms | 127.0.0.1 | POST /v1/chat/completions

INFO and the access line go to stdout, other levels to stderr, everything to ``oneapi-YYYYMMDD.log`` in the
log directory, a new file for each local day. The rest of the program uses
``logging.getLogger(__name__)`` and `access`.
"""

import atexit
import logging
import re
import sys
import threading
import time
from collections import deque
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from oneapi.config import Settings

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that the current code works for; it becomes part of every line logged meanwhile."""

LEVEL_NAMES = {
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    logging.WARNING: "WARN",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "FATAL",
}
# Lines wait this long for company: one write for all of them.
GATHER_S = 0.1
# When a disk or a pipe hangs, memory stays bounded and the count of what was lost is logged afterwards.
MAX_WAITING = 20_000

_SECRET_PARAMETER = re.compile(
    r"([?&](?:[\w.-]*(?:key|token|secret|password)|code|state|auth|sig|signature)=)[^&\s]+", re.IGNORECASE
)
_SECRET_TEXT = re.compile(r"\b(sk-|Bearer\s+)[\w.\-]{6,}", re.IGNORECASE)

# (time, None, request id, status, latency in seconds, client ip, method, target) for an access line,
# (time, level, request id, text, traceback or "") for any other.
_Access = tuple[float, None, str, int, float, str, str, str]
_Message = tuple[float, int, str, str, str]
_Entry = _Access | _Message


class LogDirError(Exception):
    """The log directory cannot be used; the text says why."""


def mask(text: str) -> str:
    """``text`` without the values of query parameters and words that look like secrets."""
    if "=" in text:
        text = _SECRET_PARAMETER.sub(r"\1***", text)
    return _SECRET_TEXT.sub(r"\1***", text)


def _one_line(text: str) -> str:
    # A line break in a path or a vendor's message must not look like a line of ours.
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _latency(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f}µs"
    return f"{seconds * 1e3:.3f}ms" if seconds < 1 else f"{seconds:.3f}s"


class _Day:
    """Formats times, once per second, and notices a new day (``date``)."""

    def __init__(self) -> None:
        self.second = -1
        self.text = ""
        self.date = ""

    def at(self, moment: float) -> str:
        second = int(moment)
        if second != self.second:
            local = time.localtime(second)
            self.second = second
            self.text = time.strftime("%Y/%m/%d - %H:%M:%S", local)
            self.date = time.strftime("%Y%m%d", local)
        return self.text


def _access_line(day: _Day, entry: _Access) -> str:
    moment, _, rid, status, seconds, client, method, target = entry
    stamp = day.text if int(moment) == day.second else day.at(moment)
    if "?" in target:
        target = mask(target)
    if not target.isprintable():
        target = _one_line(target)
    # "[GIN]" is what existing log filters look for.
    return f"[GIN] {stamp} | {rid} | {status} | {_latency(seconds)} | {client} | {method} {target}\n"


def _line(day: _Day, entry: _Message) -> str:
    moment, level, rid, text, traceback = entry
    who = f"{rid} | " if rid else ""
    name = LEVEL_NAMES.get(level) or logging.getLevelName(level)
    return f"[{name}] {day.at(moment)} | {who}{_one_line(mask(text))}\n{mask(traceback) if traceback else ''}"


class _Writer:
    """The queue of lines and the thread that writes them."""

    def __init__(self, directory: Path | None, *, one_file: bool) -> None:
        self.entries: deque[_Entry] = deque()
        self.wake = threading.Event()
        self.awake = False  # ``wake`` is set, or the thread has yet to look: a plain flag costs a line less
        self.dropped = 0
        self._directory = directory
        self._one_file = one_file
        self._day = _Day()
        self._file: IO[bytes] | None = None
        self._file_name = ""
        self._file_failed = False
        self._stop = threading.Event()
        self._stdout = _raw(sys.stdout)
        self._stderr = _raw(sys.stderr)
        self._thread = threading.Thread(target=self._run, name="oneapi-log", daemon=True)
        self._day.at(time.time())
        if directory is not None:
            self._file = self._open_file(directory, self._wanted_name())
        self._thread.start()

    def put(self, entry: _Entry) -> None:
        if len(self.entries) >= MAX_WAITING:
            self.dropped += 1
            return
        self.entries.append(entry)
        if not self.awake:
            self.awake = True
            self.wake.set()

    def close(self, timeout_s: float) -> None:
        """Write what is waiting and end the thread; gives up on a stream that hangs."""
        self._stop.set()
        self.wake.set()
        self._thread.join(timeout_s)
        if self._file is not None and not self._thread.is_alive():
            self._file.close()

    def _run(self) -> None:
        while True:
            self.wake.wait()
            stopping = self._stop.wait(GATHER_S)
            # In this order, and before the queue is emptied: who appends later sets them again.
            self.wake.clear()
            self.awake = False
            self._write_waiting()
            if stopping and not self.entries:
                return

    def _write_waiting(self) -> None:
        out: list[str] = []
        err: list[str] = []
        both: list[str] = []
        if self.dropped:
            lost, self.dropped = self.dropped, 0
            self.entries.append((time.time(), logging.WARNING, "", f"log lines dropped count={lost}", ""))
        file_name = self._wanted_name()
        date = self._day.date
        for _ in range(len(self.entries)):
            entry = self.entries.popleft()
            line = _access_line(self._day, entry) if entry[1] is None else _line(self._day, entry)
            if self._day.date != date:
                self._append_to_file(file_name, _encoded(both))
                both = []
                file_name, date = self._wanted_name(), self._day.date
            both.append(line)
            (out if entry[1] is None or entry[1] == logging.INFO else err).append(line)
        # Complaints first: whoever has read a request's access line finds everything about it.
        _write(self._stderr, _encoded(err))
        rest = _encoded(both)
        _write(self._stdout, rest if out == both else _encoded(out))
        self._append_to_file(file_name, rest)

    def _append_to_file(self, file_name: str, lines: bytes) -> None:
        if self._directory is None or not lines:
            return
        try:
            if self._file is None or self._file_name != file_name:
                self._file = self._open_file(self._directory, file_name)
            self._file.write(lines)
            self._file.flush()
            self._file_failed = False
        except OSError as exc:
            if not self._file_failed:
                self._file_failed = True
                stamp = self._day.at(time.time())
                text = f"[ERROR] {stamp} | cannot write the log file: {exc.strerror}\n"
                _write(self._stderr, _encoded([text]))

    def _wanted_name(self) -> str:
        return "oneapi.log" if self._one_file else f"oneapi-{self._day.date}.log"

    def _open_file(self, directory: Path, name: str) -> IO[bytes]:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._file_name = name
        return (directory / name).open("ab")


def _raw(stream: Any) -> Any:
    # Unbuffered: the thread may hang in a write when the process ends, and the interpreter needs the
    # buffer's lock then. None: a program without a console.
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def _encoded(lines: list[str]) -> bytes:
    return "".join(lines).encode("utf-8", "backslashreplace")


def _write(stream: Any, lines: bytes) -> None:
    if stream is None or not lines:
        return
    rest = memoryview(lines)
    try:
        while rest:
            rest = rest[stream.write(rest) or len(rest) :]
    except (OSError, ValueError):
        return  # nobody reads any more; the file still gets everything


class _Handler(logging.Handler):
    """Hands records of the logging module to the writer, as text: their arguments may change later."""

    def __init__(self, writer: _Writer) -> None:
        super().__init__()
        self._writer = writer
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            traceback = self._formatter.formatException(record.exc_info) + "\n" if record.exc_info else ""
        except Exception:  # noqa: BLE001  a wrong log call must not break what it reports on
            self.handleError(record)
            return
        self._writer.put((record.created, record.levelno, request_id.get(), text, traceback))


_writer: _Writer | None = None
_handler: _Handler | None = None


def setup(settings: Settings) -> None:
    """Create the log directory, start the thread, send all loggers to it. Raises LogDirError."""
    global _writer, _handler  # noqa: PLW0603  the process has one log
    close()
    try:
        if settings.log_dir is not None:
            settings.log_dir.mkdir(exist_ok=True)
        _writer = _Writer(settings.log_dir, one_file=settings.only_one_log_file)
    except OSError as exc:
        raise LogDirError(f"cannot use the log directory {settings.log_dir}: {exc.strerror}") from exc
    _handler = _Handler(_writer)
    root = logging.getLogger()
    root.addHandler(_handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("oneapi").setLevel(logging.DEBUG if settings.debug else logging.INFO)
    atexit.register(close)


def access(  # noqa: PLR0913  the fields of the line, in their order
    rid: str, status: int, latency_s: float, client_ip: str, method: str, target: str
) -> None:
    """Log one answered request. ``target`` is path and query as received; secrets in it are masked later."""
    if _writer is not None:
        _writer.put((time.time(), None, rid, status, latency_s, client_ip, method, target))


def close(timeout_s: float = 2.0) -> None:
    """Write every line so far and stop; does nothing without `setup`."""
    global _writer, _handler  # noqa: PLW0603  the process has one log
    if _handler is not None:
        logging.getLogger().removeHandler(_handler)
    if _writer is not None:
        _writer.close(timeout_s)
    _writer = _handler = None
    atexit.unregister(close)
