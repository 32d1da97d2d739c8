"""Settings: what is understood, what is refused and how it is said."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from oneapi import __version__, variables
from oneapi.config import PRIVATE_PEERS, ConfigError, Settings, load, parse_flags, read, session_secret


def settings(directory: Path, **environ: str) -> Settings:
    return read({}, environ, directory)


def run(*argv: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    code = "import os, sys; from pathlib import Path; from oneapi.config import load\n"
    code += "print(load(sys.argv[1:], os.environ, Path.cwd()).port)"
    return subprocess.run(
        [sys.executable, "-c", code, *argv],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.getcwd()} | environ,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("words", [["--port", "81"], ["-port", "81"], ["--port=81"], ["-port=81"]])
def test_flags_take_one_or_two_dashes_and_a_space_or_an_equals_sign(words: list[str]) -> None:
    assert parse_flags(words) == {"port": "81"}


def test_version_is_printed(tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, __version__ + "\n")


@pytest.mark.parametrize("flag", ["--help", "-help", "-h", "--help=true"])
def test_help_is_four_lines(flag: str, tmp_path: Path) -> None:
    done = run(flag, cwd=tmp_path)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 4
    assert "[--port <port>] [--log-dir <log directory>] [--version] [--help]" in done.stdout


@pytest.mark.parametrize(
    "words", [["--prot", "1"], ["serve"], ["--port"], ["--"], ["---port=1"], ["--help=2"]]
)
def test_an_unknown_argument_is_answered_with_the_usage(words: list[str], tmp_path: Path) -> None:
    done = run(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(
        "Usage: one-api [--port <port>] [--log-dir <log directory>] [--version] [--help]\n"
    )
    assert "Traceback" not in done.stderr


def test_the_environment_beats_the_flag_and_the_dotenv_file(tmp_path: Path) -> None:
    assert read({"port": "1"}, {}, tmp_path).port == 1
    (tmp_path / ".env").write_text("PORT=2\nTHEME=air\n")
    assert read({"port": "1"}, {}, tmp_path).port == 2
    assert read({"port": "1"}, {"PORT": "3"}, tmp_path).port == 3
    assert read({}, {"PORT": "3"}, tmp_path).theme == "air"


def test_the_defaults_are_the_documented_ones(tmp_path: Path) -> None:
    plain = settings(tmp_path)
    for variable in variables.VARIABLES:
        shown = {"SQLITE_PATH": "", "TRUSTED_PROXIES": ""}.get(variable.name, variable.default)
        assert settings(tmp_path, **{variable.name: shown}) == plain, variable.name
    assert plain.port == 3000
    assert plain.warnings == ()


WRONG = [
    ("PORT", "http", "a whole number from 0 to 65535"),
    ("PORT", "65536", "a whole number from 0 to 65535"),
    ("PORT", "-1", "a whole number from 0 to 65535"),
    ("PORT", "٣", "a whole number from 0 to 65535"),
    ("SQLITE_BUSY_TIMEOUT", "3s", "a whole number"),
    ("SQLITE_PATH", ":memory:", "the path of a file"),
    ("RELAY_TIMEOUT", "1.5", "a whole number"),
    ("MAX_REQUEST_BODY_MB", "0", "a whole number from 1 to 1024"),
    ("GLOBAL_API_RATE_LIMIT", "many", "a whole number"),
    ("DEBUG", "1", "true or false"),
    ("ENFORCE_INCLUDE_USAGE", "yes", "true or false"),
    ("THEME", "dark", "one of default, berry, air"),
    ("EVENT_LOOP", "trio", "one of auto, uvloop, asyncio"),
    ("LISTEN_ADDRESS", "eth0", "an IP address"),
    ("TRUSTED_PROXIES", "10.0.0.0/33", "IP addresses and networks"),
    ("RELAY_PROXY", "ftp://user:hunter2@proxy:1", "http://, socks5:// or socks5h://"),
    ("RELAY_PROXY", "http://user:hunter2@:99999", "http://, socks5:// or socks5h://"),
    ("HTTPS_PROXY", "socks4://hunter2@proxy", "http://, socks5:// or socks5h://"),
    ("INITIAL_ROOT_TOKEN", "hunter2-hunter2", "could never be used"),
    ("SQL_DSN", "root:hunter2@tcp(db)/oneapi", "SQLite (SQLITE_PATH)"),
    ("LOG_SQL_DSN", "postgres://hunter2@db", "SQLite (SQLITE_PATH)"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG)
def test_a_wrong_value_is_refused_by_name_with_what_is_allowed_and_without_secrets(
    name: str, value: str, allowed: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(tmp_path, **{name: value})
    text = str(refused.value)
    assert text.startswith(name)
    assert allowed in text
    assert "hunter2" not in text


def test_a_wrong_value_ends_the_process_without_traceback(tmp_path: Path) -> None:
    done = run(cwd=tmp_path, PORT="http")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "one-api: PORT=http: allowed is a whole number from 0 to 65535\n"
    assert run("--port", "http", cwd=tmp_path, PORT="").returncode == 2


def test_every_variable_of_one_api_without_effect_here_is_warned_about(tmp_path: Path) -> None:
    values = dict.fromkeys(variables.NOT_HONOURED, "true") | {"NODE_TYPE": "slave"}
    warnings = settings(tmp_path, **values).warnings
    assert len(warnings) == len(values)
    for name, warning in zip(values, warnings, strict=True):
        assert warning.startswith(f"{name} is set but not used: ")


def test_what_is_switched_off_or_the_default_is_no_reason_to_warn(tmp_path: Path) -> None:
    values = {"MEMORY_CACHE_ENABLED": "false", "NODE_TYPE": "master", "REDIS_CONN_STRING": "", "PATH": "/bin"}
    assert settings(tmp_path, **values).warnings == ()


def test_the_placeholder_session_secret_is_not_used(tmp_path: Path) -> None:
    placeholder = settings(tmp_path, SESSION_SECRET="random_string")
    assert placeholder.session_secret == ""
    assert placeholder.warnings[0].startswith("SESSION_SECRET=random_string")
    assert settings(tmp_path, SESSION_SECRET="own").session_secret == "own"


def test_secrets_and_proxies_are_not_in_the_repr(tmp_path: Path) -> None:
    names = [variable.name for variable in variables.VARIABLES if variable.secret]
    values = {name: "http://hunter2.test" if "PROXY" in name else "hunter2" for name in names}
    assert "hunter2" not in repr(settings(tmp_path, **values))


def test_the_initial_token_is_taken_with_or_without_its_prefix(tmp_path: Path) -> None:
    assert settings(tmp_path, INITIAL_ROOT_TOKEN="sk-abc123").initial_root_token == "abc123"
    assert settings(tmp_path, INITIAL_ROOT_TOKEN="abc123").initial_root_token == "abc123"


def test_the_database_of_the_working_directory_wins_over_the_one_beside_the_executable(
    tmp_path: Path,
) -> None:
    here, beside = tmp_path / "here", tmp_path / "beside"
    here.mkdir()
    assert read({}, {}, here).database_path == here / "one-api.db"
    assert read({}, {}, here, beside=beside).database_path == beside / "one-api.db"
    (here / "one-api.db").touch()
    assert read({}, {}, here, beside=beside).database_path == here / "one-api.db"
    chosen = read({}, {"SQLITE_PATH": "data/x.db"}, here, beside=beside)
    assert chosen.database_path == here / "data/x.db"
    assert chosen.session_secret_path == here / "data/x.db.session-secret"


def test_options_behind_the_database_path_are_left_out_with_a_warning(tmp_path: Path) -> None:
    chosen = settings(tmp_path, SQLITE_PATH="x.db?_busy_timeout=5000")
    assert chosen.database_path == tmp_path / "x.db"
    assert "question mark" in chosen.warnings[0]


DOTENV = r"""
# comment
export SESSION_SECRET='single # quoted'   # with a comment
TEST_PROMPT="line one\nline \"two\""
  THEME = berry  # inline
INITIAL_ROOT_ACCESS_TOKEN=a#b
GEMINI_VERSION=
"""


def test_the_dotenv_file_has_quotes_escapes_and_comments(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\ufeff" + DOTENV, "utf-8")
    found = settings(tmp_path)
    assert found.session_secret == "single # quoted"
    assert found.test_prompt == 'line one\nline "two"'
    assert found.theme == "berry"
    assert found.initial_root_access_token == "a#b"
    assert found.gemini_version == "v1"


@pytest.mark.parametrize("line", ["PORT", "=3", 'SESSION_SECRET="hunter2', "SESSION_SECRET='hunter2' x"])
def test_a_line_of_the_dotenv_file_that_is_not_understood_is_named_by_number(
    line: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"THEME=air\n{line}\n")
    with pytest.raises(ConfigError, match=r"\.env line 2: ") as refused:
        settings(tmp_path)
    assert "hunter2" not in str(refused.value)


def test_a_dotenv_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"THEME=\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        settings(tmp_path)


def test_the_usual_proxy_variables_apply_except_to_this_machine(tmp_path: Path) -> None:
    found = settings(
        tmp_path, HTTPS_PROXY="p:1", http_proxy="http://plain:3128", NO_PROXY="Corp.test, 10.0.0.0/8,"
    )
    assert (found.http_proxy, found.https_proxy) == ("http://plain:3128", "http://p:1")
    assert found.no_proxy == ("localhost", "127.0.0.0/8", "::1", "corp.test", "10.0.0.0/8")


def test_the_relay_proxy_applies_to_every_upstream(tmp_path: Path) -> None:
    found = settings(
        tmp_path, RELAY_PROXY="socks5://u:p@127.0.0.1:1080", HTTPS_PROXY="http://x:1", NO_PROXY="*"
    )
    assert found.http_proxy == found.https_proxy == "socks5://u:p@127.0.0.1:1080"
    assert found.no_proxy == ()


@pytest.mark.parametrize(
    ("trusted", "networks"),
    [
        ("none", []),
        ("203.0.113.7, 2001:db8::1/32", ["203.0.113.7/32", "2001:db8::/32"]),
        ("", PRIVATE_PEERS.split(",")),
    ],
)
def test_trusted_proxies_are_addresses_or_networks(trusted: str, networks: list[str], tmp_path: Path) -> None:
    assert [
        str(network) for network in settings(tmp_path, TRUSTED_PROXIES=trusted).trusted_proxies
    ] == networks


def test_the_session_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    found = settings(tmp_path)
    made = session_secret(found)
    assert len(made) == 64
    assert session_secret(found) == made
    if os.name == "posix":
        assert stat.S_IMODE(found.session_secret_path.stat().st_mode) == 0o600
    assert session_secret(settings(tmp_path, SESSION_SECRET="own")) == "own"
    assert [path.name for path in tmp_path.iterdir()] == ["one-api.db.session-secret"]


def test_a_cut_off_session_secret_is_made_again(tmp_path: Path) -> None:
    found = settings(tmp_path)
    found.session_secret_path.write_text("abc")
    assert len(session_secret(found)) == 64


def test_an_unknown_time_zone_is_warned_about(tmp_path: Path) -> None:
    assert settings(tmp_path, TZ="UTC").warnings == ()
    assert settings(tmp_path, TZ="CST-8").warnings == ()
    assert "TZ=Nowhere/City" in settings(tmp_path, TZ="Nowhere/City").warnings[0]


def test_the_time_zone_of_the_dotenv_file_applies(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TZ=XYZ-5\n")
    code = "import os, sys, time; from pathlib import Path; from oneapi.config import load\n"
    code += "load([], os.environ, Path.cwd()); print(time.strftime('%Z %z'))"
    environ = {name: value for name, value in os.environ.items() if name != "TZ"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environ | {"PYTHONPATH": os.getcwd()},
        timeout=20,
        check=True,
    )
    assert done.stdout == "XYZ +0500\n"


def test_load_reads_the_command_line_and_the_environment(tmp_path: Path) -> None:
    found = load(["--port", "8080", "--log-dir", ""], {"LISTEN_ADDRESS": "127.0.0.1"}, tmp_path)
    assert (found.port, found.log_dir, found.listen_address) == (8080, None, "127.0.0.1")
