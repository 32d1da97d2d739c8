#!/usr/bin/env python3
"""The commands of this project. Needs Python 3.11 or newer with pip and venv, nothing else.

serve [options of the program]   run from source; installs what it needs first
test [--fast]                    every check; --fast leaves out the second event loop and the executable
lint                             format, rules, imports, types
build                            dist/one-api, one executable file
bench [options]                  performance against the budgets
lock [package ...]               write requirements/*.txt again; with names: take new versions of these
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import interpreters  # noqa: E402

REQUIREMENTS = ROOT / "requirements"
VENV = ROOT / ".venv"
BUILD_VENV = ROOT / ".venv-build"
DEBIAN_PACKAGES = {  # program: package
    "nginx": "nginx-light",
    "wrk": "wrk",
    "curl": "curl",
    "openssl": "openssl",
    "objcopy": "binutils",  # PyInstaller adds the archive to the executable with it
}
# Suites whose behaviour depends on the event loop: they run on uvloop and on plain asyncio.
LOOP_SUITES = ("tests/server", "tests/upstream", "tests/relay", "tests/test_tasks.py")
COVERAGE_PERCENT = 90
# tiktoken declares requests and regex, which it imports only to download a vocabulary and in functions that
# are not used here: they are not in runtime.txt, so pip must not look for them.
PIP_INSTALL = (
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
    "--require-hashes",
)


class StepFailedError(Exception):
    """A step ended with a failure that it has already explained; the text is its name."""


def environment() -> dict[str, str]:
    """This process's environment without what could put other packages in front of the locked ones."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def python_of(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def step(name: str, command: Sequence[str], **variables: str) -> None:
    """Run ``command`` in the project's folder and print its name and time. Raises StepFailedError."""
    print(f"== {name}", file=sys.stderr, flush=True)
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment() | variables, check=False)
    elapsed_s = time.monotonic() - started
    print(f"== {name}: {'ok' if done.returncode == 0 else 'FAILED'} in {elapsed_s:.1f} s", file=sys.stderr)
    if done.returncode != 0:
        raise StepFailedError(name)


def install(venv: Path, *locks: str) -> str:
    """A virtual environment with exactly what the named locks pin; returns its interpreter.

    Does nothing when the locks and the interpreter have not changed since the last time.
    """
    python = python_of(venv)
    files = [REQUIREMENTS / f"{lock}.txt" for lock in locks]
    wanted = hashlib.sha256(b"".join([caller().encode(), *(file.read_bytes() for file in files)])).hexdigest()
    stamp = venv / f"installed-{'-'.join(locks)}"
    if python.exists() and stamp.exists() and stamp.read_text("ascii") == wanted:
        return str(python)
    make_environment(venv, freezes="build" in locks)
    arguments = [word for file in files for word in ("-r", str(file))]
    step(
        f"install {' and '.join(locks)} requirements",
        [str(python), *PIP_INSTALL, *arguments],
        PYTHONNOUSERSITE="1",
    )
    stamp.write_text(wanted, "ascii")
    return str(python)


def caller() -> str:
    """The Python that runs this script; another one chooses anew for its environments."""
    return f"{sys.executable} {sys.version}"


def make_environment(venv: Path, *, freezes: bool) -> None:
    """Make ``venv`` with the best Python here, unless it is there and was chosen by the same caller."""
    chosen_by = venv / "chosen-by"
    existing = interpreters.probe(str(python_of(venv))) if has_pip(python_of(venv)) else None
    if existing and chosen_by.exists() and chosen_by.read_text("utf-8") == caller():
        return
    python = choose_interpreter(freezes=freezes)
    if existing is None or existing.version != python.version or not same_base(venv, python.path):
        step(f"make {venv.name}", [python.path, "-m", "venv", "--clear", str(venv)])
    chosen_by.write_text(caller(), "utf-8")


def has_pip(python: Path) -> bool:
    """Whether the interpreter of an environment runs (its base may be gone) and the environment is whole."""
    if not python.exists():
        return False
    return (
        subprocess.run([python, "-s", "-c", "import pip"], capture_output=True, check=False).returncode == 0
    )


def same_base(venv: Path, python: str) -> bool:
    """Whether the environment was made by this very Python: two of one version may be built differently."""
    return python_of(venv).resolve() == Path(python).resolve() or os.name == "nt"


def choose_interpreter(*, freezes: bool) -> interpreters.Interpreter:
    """The Python for a new environment; where we may, the system's one gets the packages that it lacks."""
    packages = may_install()
    python, why = interpreters.choose(interpreters.candidates(), freezes=freezes, packages=packages)
    lacking = python.packages(freezes=freezes)
    if packages and lacking:
        try:
            apt_install(lacking)
        except StepFailedError:
            print("== go on without these packages", file=sys.stderr)
        python, why = interpreters.choose(interpreters.candidates(), freezes=freezes)
    print(f"== interpreter: {python}: {why}", file=sys.stderr)
    return python


def install_debian_packages() -> None:
    """Install the programs that checks, build and benchmark use; only as root and where apt is."""
    missing = [package for program, package in DEBIAN_PACKAGES.items() if not find_program(program)]
    if not missing:
        return
    if may_install():
        apt_install(missing)
    else:
        print(f"== not installed, needs root: {' '.join(missing)}", file=sys.stderr)


def may_install() -> bool:
    """Whether Debian packages can be installed."""
    return bool(shutil.which("apt-get")) and hasattr(os, "geteuid") and os.geteuid() == 0


def apt_install(packages: Sequence[str]) -> None:
    """Raises StepFailedError."""
    step("apt-get update", ["apt-get", "update", "-qq"])
    options = ["-y", "-qq", "--no-install-recommends"]
    step(
        "install Debian packages",
        ["apt-get", "install", *options, *packages],
        DEBIAN_FRONTEND="noninteractive",
    )


def find_program(name: str) -> str | None:
    """Where a program lies; system folders count too, since PATH of an ordinary user may lack them."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def serve(arguments: list[str]) -> int:
    """Run the program in the caller's working directory; its signals and exit status are the program's."""
    python = install(VENV, "runtime")
    command = [python, "-s", str(ROOT / "oneapi.py"), *arguments]
    if os.name != "nt":
        os.execve(command[0], command, environment())  # noqa: S606  this process becomes the program
    return subprocess.run(command, env=environment(), check=False).returncode


def lint(arguments: list[str]) -> int:
    """Everything that reads the source without running it."""
    refuse(arguments)
    check_source(install(VENV, "runtime", "dev"))
    return 0


def check_source(python: str) -> None:
    """Format, rules, import rules, types, changelog."""
    checks = {
        "ruff format": ["-m", "ruff", "format", "--check", "."],
        "ruff check": ["-m", "ruff", "check", "."],
        "import rules": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        "mypy": ["-m", "mypy", "-p", "oneapi", "-p", "tests", "-p", "scripts"],
    }
    failed = []
    for name, arguments in checks.items():
        try:
            step(name, [python, *arguments])
        except StepFailedError:
            failed.append(name)  # the others may have something to say as well
    if failed:
        raise StepFailedError(", ".join(failed))
    check_changelog()


def check_changelog() -> None:
    """The newest heading of the changelog must be the program's version. Raises StepFailedError."""
    version = re.search(
        r'^__version__ = "(.+)"$', (ROOT / "oneapi/__init__.py").read_text("utf-8"), re.MULTILINE
    )
    heading = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    if version is None or heading is None or version[1] != heading[1]:
        newest = heading[1] if heading else None
        print(f"CHANGELOG.md: newest is {newest}, the program is {version and version[1]}", file=sys.stderr)
        raise StepFailedError("changelog")
    print("== changelog: ok", file=sys.stderr)


def test(arguments: list[str]) -> int:
    """All checks, cheapest first."""
    fast = arguments == ["--fast"]
    refuse([] if fast else arguments)
    python = install(VENV, "runtime", "dev")
    install_debian_packages()
    check_source(python)
    pytest = [python, "-m", "pytest", "-q"]
    coverage = ["--cov", "--cov-report=term-missing:skip-covered", f"--cov-fail-under={COVERAGE_PERCENT}"]
    step("tests", [*pytest, *coverage], EVENT_LOOP="auto")
    if not fast:
        suites = [suite for suite in LOOP_SUITES if (ROOT / suite).exists()]
        step("tests on plain asyncio", [*pytest, *suites], EVENT_LOOP="asyncio")
        executable = make_executable()
        step("tests of the executable", [*pytest, "tests/smoke"], ONEAPI_EXECUTABLE=str(executable))
    return 0


def build(arguments: list[str]) -> int:
    """Make the executable and try it."""
    refuse(arguments)
    install_debian_packages()
    executable = make_executable()
    python = install(VENV, "runtime", "dev")
    smoke = [python, "-m", "pytest", "-q", "tests/smoke"]
    step("tests of the executable", smoke, ONEAPI_EXECUTABLE=str(executable))
    print(executable)
    return 0


def make_executable() -> Path:
    """``dist/one-api``, made in an environment that holds nothing but the locked requirements."""
    python = install(BUILD_VENV, "runtime", "build")
    options = ["--noconfirm", "--clean", "--log-level", "WARN"]
    step("build", [python, "-s", "-m", "PyInstaller", *options, "build.spec"], PYTHONNOUSERSITE="1")
    executable = ROOT / "dist" / ("one-api.exe" if os.name == "nt" else "one-api")
    print(f"== {executable.name}: {executable.stat().st_size / 2**20:.1f} MiB", file=sys.stderr)
    return executable


def bench(arguments: list[str]) -> int:
    """Measure; the exit status says whether the budgets hold."""
    python = install(VENV, "runtime", "dev")
    install_debian_packages()
    command = [python, "-s", str(ROOT / "scripts" / "bench.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode


def lock(arguments: list[str]) -> int:
    """Resolve requirements/*.in for all platforms."""
    python = install(VENV, "runtime", "dev")
    compile_options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"]
    quiet = ["--no-annotate", "--no-emit-index-url", "--quiet"]
    upgrades = [word for package in arguments for word in ("--upgrade-package", package)]
    unused = ("requests", "regex", "charset-normalizer", "idna", "urllib3")
    left_out = [word for package in unused for word in ("--no-emit-package", package)]
    for name in ("runtime", "dev", "build"):
        files = [f"requirements/{name}.in", "-o", f"requirements/{name}.txt"]
        extra = left_out if name == "runtime" else ["-c", "requirements/runtime.txt"]
        command = [python, "-m", "uv", "pip", "compile", *compile_options, *quiet, *upgrades, *extra, *files]
        step(f"lock {name}", command)
    return 0


def refuse(arguments: Sequence[str]) -> None:
    """Options that mean nothing must not be ignored."""
    if arguments:
        raise SystemExit(f"unexpected: {' '.join(arguments)}\n\n{__doc__}")


COMMANDS = {"serve": serve, "test": test, "lint": lint, "build": build, "bench": bench, "lock": lock}


def main() -> int:
    """Run the command that the first argument names."""
    if sys.version_info < interpreters.OLDEST:
        raise SystemExit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        raise SystemExit(__doc__)
    try:
        return COMMANDS[sys.argv[1]](sys.argv[2:])
    except StepFailedError as exc:
        print(f"failed: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
