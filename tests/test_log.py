"""The log as an operator finds it: on the terminal, in the files, without secrets."""

import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oneapi import log
from oneapi.config import Settings, load

STAMP = r"\d{4}/\d\d/\d\d - \d\d:\d\d:\d\d"
START = """
import logging, sys
from pathlib import Path
from oneapi import log, request_id
from oneapi.config import Settings
log.setup(Settings(log_dir=Path(sys.argv[1]) if sys.argv[1] else None, only_one_log_file=False))
system = logging.getLogger("oneapi.test")
"""


def run(code: str, directory: Path | str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START + code, str(directory)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd(), "PYTHONIOENCODING": "utf-8"} | environment,
        timeout=20,
        check=False,
    )


def only_file(directory: Path) -> Path:
    (file,) = directory.iterdir()
    return file


def test_info_goes_to_stdout_other_levels_to_stderr_and_all_to_the_file_of_the_day(tmp_path: Path) -> None:
    done = run(
        'system.info("started port=%d", 3000)\n'
        'system.warning("odd"); system.error("bad"); system.critical("end")',
        tmp_path / "logs",
    )
    assert re.fullmatch(rf"\[INFO\] {STAMP} \| started port=3000\n", done.stdout)
    assert re.fullmatch(
        rf"\[WARN\] {STAMP} \| odd\n\[ERROR\] {STAMP} \| bad\n\[FATAL\] {STAMP} \| end\n", done.stderr
    )
    file = only_file(tmp_path / "logs")
    assert file.name == time.strftime("oneapi-%Y%m%d.log")
    assert file.read_text() == done.stdout + done.stderr


def test_lines_of_a_request_carry_its_id(tmp_path: Path) -> None:
    done = run('log.request_id.set("20250131"); system.info("attempt failed")', tmp_path)
    assert re.fullmatch(rf"\[INFO\] {STAMP} \| 20250131 \| attempt failed\n", done.stdout)


def test_an_answered_request_is_one_access_line(tmp_path: Path) -> None:
    done = run(
        'log.access("77", 200, 0.0012345, "127.0.0.1", "GET", "/api/log?p=0&type=2")\n'
        'log.access("78", 429, 0.0000124, "::1", "POST", "/v1/chat/completions")\n'
        'log.access("79", 502, 12.5, "::1", "POST", "/v1/images")\n',
        tmp_path,
    )
    first, second, third = done.stdout.splitlines()
    assert re.fullmatch(
        rf"\[GIN\] {STAMP} \| 77 \| 200 \| 1\.23\dms \| 127\.0\.0\.1 \| GET /api/log\?p=0&type=2", first
    )
    assert "| 429 | 12µs |" in second
    assert "| 502 | 12.500s |" in third


@pytest.mark.parametrize(
    "target",
    [
        "/v1beta/models/gemini:streamGenerateContent?alt=sse&key=PRIVATE",
        "/x?access_token=PRIVATE&p=1",
        "/x?api-key=PRIVATE",
        "/api/oauth/github?code=PRIVATE&state=PRIVATE",
        "/x?Password=PRIVATE",
    ],
)
def test_secrets_in_a_query_string_are_not_logged(target: str, tmp_path: Path) -> None:
    done = run(f'log.access("1", 200, 0, "::1", "GET", {target!r})', tmp_path)
    assert "PRIVATE" not in done.stdout + only_file(tmp_path).read_text()
    assert "=***" in done.stdout


def test_keys_in_a_message_or_traceback_are_not_logged(tmp_path: Path) -> None:
    done = run(
        'system.warning("upstream said: wrong key sk-PRIVATE12345, header Bearer PRIVATE-abc")\n'
        'try: raise ValueError("GET /v1?key=PRIVATE")\n'
        'except ValueError: system.exception("failed")\n',
        tmp_path,
    )
    assert "PRIVATE" not in done.stderr
    assert "ValueError: GET /v1?key=***\n" in done.stderr


def test_a_line_break_in_foreign_text_does_not_forge_a_log_line(tmp_path: Path) -> None:
    done = run(
        'system.info("name=%s", "x\\n[INFO] forged")\n'
        'log.access("1", 200, 0, "::1", "GET", "/a\\r\\n[INFO]")',
        tmp_path,
    )
    assert len(done.stdout.splitlines()) == 2
    assert "x\\n[INFO] forged" in done.stdout


def test_what_was_logged_last_before_the_end_of_the_process_is_written(tmp_path: Path) -> None:
    done = run('system.info("last words"); sys.exit(3)', tmp_path)
    assert done.returncode == 3
    assert "last words" in done.stdout
    assert "last words" in only_file(tmp_path).read_text()


def test_a_new_day_begins_a_new_file(tmp_path: Path) -> None:
    done = run(
        "import time\n"
        "midnight = int(time.mktime((2025, 1, 31, 23, 59, 59, 0, 0, -1)))\n"
        "for moment in (midnight, midnight + 1):\n"
        "    time.time = lambda: moment\n"
        '    log.access(str(moment), 200, 0, "::1", "GET", "/")\n',
        tmp_path,
    )
    assert done.returncode == 0
    assert len((tmp_path / "oneapi-20250131.log").read_text().splitlines()) == 1
    assert len((tmp_path / "oneapi-20250201.log").read_text().splitlines()) == 1


def test_one_log_file_on_request(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.setup(Settings(log_dir=tmp_path, only_one_log_file=True))
    log.access("1", 200, 0.1, "::1", "GET", "/only")
    log.close()
    assert "/only" in (tmp_path / "oneapi.log").read_text()
    assert "/only" in capfd.readouterr().out


def test_without_log_directory_nothing_is_written_to_disk(tmp_path: Path) -> None:
    done = run('system.info("hello")', "")
    assert "hello" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_log_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(log.LogDirError, match=r"cannot use the log directory .*deep/er: "):
        log.setup(Settings(log_dir=tmp_path / "deep" / "er"))


def test_the_program_goes_on_when_nobody_reads_its_output_any_more(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code = START + 'system.info("to a closed pipe"); log.close(); system.info("x"); sys.stderr.write("alive")'
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
        timeout=20,
        check=False,
    )
    os.close(writer)
    assert done.stderr == "alive"
    assert "to a closed pipe" in only_file(tmp_path).read_text()


def test_a_hanging_output_costs_bounded_memory_and_the_loss_is_counted(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    code = START + (
        "for number in range(3 * log.MAX_WAITING):\n"
        '    log.access(str(number), 200, 0, "::1", "GET", "/" + "x" * 50)\n'
        "assert len(log._writer.entries) <= log.MAX_WAITING\n"
        'sys.stderr.write("bounded\\n"); sys.stderr.flush(); log.close(10)'
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    os.close(writer)
    assert process.stderr is not None
    said = process.stderr.readline()  # its own word, or the log's on what was lost: the one who is first
    with os.fdopen(reader, "rb") as output:
        output.read()  # the reader wakes up
    said += process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 0
    assert b"bounded\n" in said
    assert b"log lines dropped count=" in said


def test_debug_lines_appear_only_in_debug_mode(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for debug in (False, True):
        log.setup(Settings(log_dir=None, debug=debug))
        logging.getLogger("oneapi.test").debug("detail debug=%s", debug)
        log.close()
    captured = capfd.readouterr().err
    assert "detail debug=True" in captured
    assert "debug=False" not in captured


def test_settings_choose_the_log_directory(tmp_path: Path) -> None:
    assert load(["--log-dir", "l"], {}, tmp_path).log_dir == tmp_path / "l"
    assert load(["--log-dir="], {}, tmp_path).log_dir is None
    assert load([], {}, tmp_path).log_dir == tmp_path / "logs"
