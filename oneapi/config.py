"""Command line, ``.env`` and environment, read once at start into `Settings`.

Nothing else in the program reads the environment. A value that is not understood is refused by name: a typo
must not become a default in silence. `oneapi.variables` describes each variable, as data.
"""

import ipaddress
import os
import re
import secrets
import sys
import time
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from oneapi import __version__
from oneapi.variables import NOT_HONOURED, REFUSED

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

USAGE = "one-api [--port <port>] [--log-dir <log directory>] [--version] [--help]"
HELP = f"""One API {__version__}
Free software under the MIT License.
Settings are environment variables, or lines of a file .env in the working directory.
Usage: {USAGE}"""
PRIVATE_PEERS = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,::1/128,fc00::/7,fe80::/10"
# A proxy that the environment names for everything is not meant for this machine itself.
LOOPBACK = ("localhost", "127.0.0.0/8", "::1")
TEST_PROMPT = "Output only your specific model name with no additional text."


class ConfigError(Exception):
    """A setting that cannot be used. The text names it and says what is allowed, without secret values."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator decided. Secrets, and addresses that may hold a password, stay out of ``repr``."""

    port: int = 3000  # 0: any free port
    listen_address: str = ""  # "": all interfaces
    log_dir: Path | None = None  # absolute; None: no log file
    only_one_log_file: bool = False
    debug: bool = False
    database_path: Path = Path("one-api.db")
    sqlite_busy_timeout_ms: int = 3000
    session_secret: str = field(default="", repr=False)  # "": `session_secret()` keeps one in a file
    session_secret_path: Path = Path("one-api.db.session-secret")
    relay_timeout_s: int = 0  # 0: no limit on a whole exchange
    http_proxy: str = field(default="", repr=False)  # for http:// upstreams, "": none
    https_proxy: str = field(default="", repr=False)  # for https:// upstreams
    no_proxy: tuple[str, ...] = ()  # rules for the upstreams that are reached without them
    user_content_request_proxy: str = field(default="", repr=False)
    user_content_request_timeout_s: int = 30
    allow_private_urls: bool = False
    enforce_include_usage: bool = False
    test_prompt: str = TEST_PROMPT
    gemini_safety_setting: str = "BLOCK_NONE"
    gemini_version: str = "v1"
    theme: str = "default"
    global_api_rate_limit: int = 480  # per address and 180 s; 0: no limit
    global_web_rate_limit: int = 240
    initial_root_token: str = field(default="", repr=False)  # without "sk-"
    initial_root_access_token: str = field(default="", repr=False)
    max_request_body_bytes: int = 64 << 20
    trusted_proxies: tuple[Network, ...] = ()
    event_loop: str = "auto"
    time_zone: str = ""  # "": the system's
    warnings: tuple[str, ...] = ()  # to be logged once the log is open


def load(argv: Sequence[str], environ: Mapping[str, str], cwd: Path) -> Settings:
    """The settings of this process; ``argv`` is without the program's name.

    Ends the process for ``--help`` and ``--version`` (0), an unknown flag (2) and a wrong value (1), with a
    text on stdout or stderr. Applies ``TZ`` when only ``.env`` names it.
    """
    try:
        flags = parse_flags(argv)
    except ConfigError as exc:
        _exit(exc.exit_code, f"{exc}\nUsage: {USAGE}")
    if "version" in flags:
        _exit(0, __version__)
    if "help" in flags:
        _exit(0, HELP)
    try:
        settings = read(flags, environ, cwd)
    except ConfigError as exc:
        _exit(exc.exit_code, f"one-api: {exc}")
    if settings.time_zone and "TZ" not in environ and hasattr(time, "tzset"):
        os.environ["TZ"] = settings.time_zone
        time.tzset()
    return settings


def _exit(code: int, text: str) -> NoReturn:
    (sys.stderr if code else sys.stdout).write(text + "\n")
    raise SystemExit(code)


def parse_flags(argv: Sequence[str]) -> dict[str, str]:
    """Flag -> value of the command line. All of ``-x v``, ``--x v``, ``-x=v``, ``--x=v`` are understood."""
    flags: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        name, has_value, value = word.lstrip("-").partition("=")
        dashes = len(word) - len(word.lstrip("-"))
        if dashes not in (1, 2) or not name:
            raise ConfigError(f"unexpected argument: {word}", exit_code=2)
        if name in ("version", "help", "h"):
            if has_value and value not in ("true", "false"):
                raise ConfigError(f"invalid value for flag -{name}: true or false", exit_code=2)
            if value != "false":
                flags["help" if name == "h" else name] = "true"
        elif name in ("port", "log-dir"):
            if not has_value:
                try:
                    value = next(words)
                except StopIteration:
                    raise ConfigError(f"flag needs an argument: -{name}", exit_code=2) from None
            flags[name] = value
        else:
            raise ConfigError(f"flag provided but not defined: -{name}", exit_code=2)
    return flags


def read(
    flags: Mapping[str, str], environ: Mapping[str, str], cwd: Path, *, beside: Path | None = None
) -> Settings:
    """Settings from flags and environment over ``.env`` in ``cwd``. Raises ConfigError.

    ``beside`` is the folder of the frozen executable; None: this one's, if it is frozen.
    """
    values = _Values({**_dotenv(cwd / ".env"), **environ})
    for name, reason in REFUSED.items():
        if values.text(name):
            raise ConfigError(f"{name} is not supported: {reason}")
    if beside is None and getattr(sys, "frozen", False):
        beside = Path(sys.executable).parent
    database_path = _database_path(values, cwd, beside)
    http_proxy, https_proxy, no_proxy = _upstream_proxies(values)
    secret = values.text("SESSION_SECRET")
    if secret == "random_string":  # noqa: S105  the placeholder of many sample files
        values.warn("SESSION_SECRET=random_string is a placeholder and not used: a secret is generated")
        secret = ""
    return Settings(
        port=_port(flags, values),
        listen_address=values.address("LISTEN_ADDRESS"),
        log_dir=_log_dir(flags, cwd),
        only_one_log_file=values.flag("ONLY_ONE_LOG_FILE"),
        debug=values.flag("DEBUG"),
        database_path=database_path,
        sqlite_busy_timeout_ms=values.integer("SQLITE_BUSY_TIMEOUT", 3000, 0, 3_600_000),
        session_secret=secret,
        session_secret_path=database_path.with_name(database_path.name + ".session-secret"),
        relay_timeout_s=values.integer("RELAY_TIMEOUT", 0, 0, 86_400),
        http_proxy=http_proxy,
        https_proxy=https_proxy,
        no_proxy=no_proxy,
        user_content_request_proxy=values.proxy("USER_CONTENT_REQUEST_PROXY"),
        user_content_request_timeout_s=values.integer("USER_CONTENT_REQUEST_TIMEOUT", 30, 1, 86_400),
        allow_private_urls=values.flag("ALLOW_PRIVATE_URLS"),
        enforce_include_usage=values.flag("ENFORCE_INCLUDE_USAGE"),
        test_prompt=values.text("TEST_PROMPT") or TEST_PROMPT,
        gemini_safety_setting=values.text("GEMINI_SAFETY_SETTING") or "BLOCK_NONE",
        gemini_version=values.text("GEMINI_VERSION") or "v1",
        theme=values.choice("THEME", ("default", "berry", "air")),
        global_api_rate_limit=values.integer("GLOBAL_API_RATE_LIMIT", 480, 0, 1_000_000),
        global_web_rate_limit=values.integer("GLOBAL_WEB_RATE_LIMIT", 240, 0, 1_000_000),
        initial_root_token=_initial_root_token(values),
        initial_root_access_token=values.text("INITIAL_ROOT_ACCESS_TOKEN"),
        max_request_body_bytes=values.integer("MAX_REQUEST_BODY_MB", 64, 1, 1024) << 20,
        trusted_proxies=values.networks("TRUSTED_PROXIES", PRIVATE_PEERS),
        event_loop=values.choice("EVENT_LOOP", ("auto", "uvloop", "asyncio")),
        time_zone=_time_zone(values),
        warnings=(*values.warnings, *_ignored(values)),
    )


class _Values:
    """Variables by name, each read in one way. An empty value counts as not set."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def text(self, name: str) -> str:
        return self._values.get(name, "").strip()

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        text = self.text(name)
        if not text:
            return default
        if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or not least <= int(text) <= most:
            raise ConfigError(f"{name}={text}: allowed is a whole number from {least} to {most}")
        return int(text)

    def flag(self, name: str) -> bool:
        text = self.text(name).lower()
        if text not in ("", "true", "false"):
            raise ConfigError(f"{name}={self.text(name)}: allowed is true or false")
        return text == "true"

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        text = self.text(name) or allowed[0]
        if text not in allowed:
            raise ConfigError(f"{name}={text}: allowed is one of {', '.join(allowed)}")
        return text

    def address(self, name: str) -> str:
        text = self.text(name)
        try:
            return str(ipaddress.ip_address(text)) if text else ""
        except ValueError:
            raise ConfigError(f"{name}={text}: allowed is an IP address of this machine") from None

    def networks(self, name: str, default: str) -> tuple[Network, ...]:
        text = self.text(name) or default
        if text == "none":
            return ()
        try:
            words = (word.strip() for word in text.split(","))
            return tuple(ipaddress.ip_network(word, strict=False) for word in words if word)
        except ValueError:
            raise ConfigError(
                f"{name}={text}: allowed are IP addresses and networks (10.0.0.0/8), with commas, or none"
            ) from None

    def proxy(self, name: str) -> str:
        text = self.text(name)
        if not text:
            return ""
        if "://" not in text:
            text = f"http://{text}"
        try:
            url = urlsplit(text)
            usable = url.scheme in ("http", "socks5", "socks5h") and bool(url.hostname) and url.port != 0
        except ValueError:
            usable = False
        if not usable:  # the value may hold a password
            raise ConfigError(f"{name}: allowed is http://, socks5:// or socks5h:// with host and port")
        return text


def _port(flags: Mapping[str, str], values: _Values) -> int:
    if values.text("PORT"):
        return values.integer("PORT", 3000, 0, 65535)
    text = flags.get("port", "3000")
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > 65535:
        raise ConfigError(f"--port {text}: allowed is a whole number from 0 to 65535", exit_code=2)
    return int(text)


def _log_dir(flags: Mapping[str, str], cwd: Path) -> Path | None:
    text = flags.get("log-dir", "./logs")
    return Path(os.path.normpath(cwd / text)) if text else None


def _database_path(values: _Values, cwd: Path, beside: Path | None) -> Path:
    text = values.text("SQLITE_PATH")
    if text.startswith((":memory:", "file:")):
        raise ConfigError(f"SQLITE_PATH={text}: allowed is the path of a file")
    name, question_mark, _ = text.partition("?")
    if question_mark:
        values.warn("SQLITE_PATH: what follows the question mark is not used")
    if name:
        return Path(os.path.normpath(cwd / name))
    here = cwd / "one-api.db"
    return here if beside is None or here.exists() else beside / "one-api.db"


def _initial_root_token(values: _Values) -> str:
    key = values.text("INITIAL_ROOT_TOKEN").removeprefix("sk-")
    if "-" in key or not key.isprintable() or " " in key:
        raise ConfigError("INITIAL_ROOT_TOKEN: a key with a dash or a space in it could never be used")
    return key


def _time_zone(values: _Values) -> str:
    name = values.text("TZ")
    # "UTC-8", "CST-8", "<+08>-8" need no zone file.
    if name and not re.fullmatch(r"(?:[A-Za-z]{3,}|<[+-]?\w+>)[+-]?\d{1,2}.*", name):
        try:
            zoneinfo.ZoneInfo(name.removeprefix(":"))
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            values.warn(f"TZ={name} is not known on this system; local times may be UTC")
    return name


def _upstream_proxies(values: _Values) -> tuple[str, str, tuple[str, ...]]:
    """Proxy for ``http``, proxy for ``https``, exceptions. RELAY_PROXY has no exceptions."""
    relay_proxy = values.proxy("RELAY_PROXY")
    if relay_proxy:
        return relay_proxy, relay_proxy, ()
    http_proxy = values.proxy("HTTP_PROXY") or values.proxy("http_proxy")
    https_proxy = values.proxy("HTTPS_PROXY") or values.proxy("https_proxy")
    rules = (values.text("NO_PROXY") or values.text("no_proxy")).lower().split(",")
    return http_proxy, https_proxy, (*LOOPBACK, *(rule.strip() for rule in rules if rule.strip()))


def _ignored(values: _Values) -> Iterable[str]:
    for name, reason in NOT_HONOURED.items():
        value = values.text(name)
        harmless = value.lower() in ("", "false") or (name == "NODE_TYPE" and value != "slave")
        if not harmless:
            yield f"{name} is set but not used: {reason}"


_DOTENV_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][\w.]*)\s*=\s*(?P<value>.*)")
_QUOTED = re.compile(r"""(?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)")\s*(?:\#.*)?""", re.VERBOSE)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def _dotenv(path: Path) -> dict[str, str]:
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"cannot read {path}: {getattr(exc, 'strerror', None) or 'it is not UTF-8'}"
        ) from exc
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _DOTENV_LINE.fullmatch(stripped)
        if match is None:
            raise ConfigError(f"{path} line {number}: allowed is NAME=value")
        value = _dotenv_value(match["value"])
        if value is None:
            raise ConfigError(f"{path} line {number}: the quote does not end")
        values[match["name"]] = value
    return values


def _dotenv_value(text: str) -> str | None:
    """The value that ``text`` writes, without quotes and comment; None for an open quote."""
    if not text.startswith(("'", '"')):
        return "" if text.startswith("#") else re.split(r"\s+#", text, maxsplit=1)[0]
    quoted = _QUOTED.fullmatch(text)
    if quoted is None:
        return None
    if quoted["single"] is not None:
        return quoted["single"]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), quoted["double"])


def session_secret(settings: Settings) -> str:
    """The key that signs session cookies: ``SESSION_SECRET``, else one that is made once and kept in a file.

    The file lies beside the database and only its owner may read it. Raises OSError.
    """
    if settings.session_secret:
        return settings.session_secret
    path = settings.session_secret_path
    try:
        kept = path.read_text("ascii").strip()
    except FileNotFoundError:
        kept = ""
    if len(kept) >= 32:
        return kept
    made = secrets.token_hex(32)
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return made


def of_process() -> Settings:
    """`load` for this process."""
    return load(sys.argv[1:], os.environ, Path.cwd())
