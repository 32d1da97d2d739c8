"""Which Python makes the virtual environments.

Builds of one version differ much in speed (profile-guided optimisation is worth a third and more), and the
executable carries the build that made it. Run as a script, it prints what ``Interpreter`` holds about the
Python that runs it; that must work on old ones, too.
"""

from __future__ import annotations

import ast
import ctypes
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from importlib.util import find_spec
from typing import NamedTuple

OLDEST = (3, 11)
NEWEST = (3, 13)  # what others than the running one may be: the locked packages have wheels for them
CLEARLY = 1.15  # how much faster another one must be
ROUNDS = 15
TURNS = 2
PROBE_LIMIT_S = 20


class Interpreter(NamedTuple):
    """A Python and what it can do."""

    path: str
    version: tuple[int, ...]
    makes_environments: bool  # has venv and ensurepip
    has_library: bool  # PyInstaller needs the interpreter as a shared library
    best_s: float

    def __str__(self) -> str:
        return f"{self.path} ({'.'.join(map(str, self.version))})"

    def packages(self, *, freezes: bool) -> list[str]:
        """The Debian packages that it lacks for its work."""
        lacking = [] if self.makes_environments else ["python3-venv"]
        if freezes and not self.has_library:
            lacking.append(f"libpython{self.version[0]}.{self.version[1]}")
        return lacking

    def suits(self, *, freezes: bool, packages: bool) -> bool:
        """Whether it can do the work; ``packages``: Debian packages may be added to the system's Python."""
        return not self.packages(freezes=freezes) or (packages and self.path.startswith("/usr/bin/"))


def choose(found: list[Interpreter], *, freezes: bool, packages: bool = False) -> tuple[Interpreter, str]:
    """The Python to use and why; the first of ``found`` is the running one, which is preferred."""
    running = found[0]
    suitable = [python for python in found if python.suits(freezes=freezes, packages=packages)]
    if not suitable:
        return running, "none here is complete"
    fastest = min(suitable, key=lambda python: python.best_s)
    if running not in suitable:
        return fastest, f"{running} cannot make what is needed"
    gain = running.best_s / fastest.best_s
    if gain >= CLEARLY:
        return fastest, f"{gain:.2f} times as fast as {running}"
    return running, "no other one here is clearly faster" if len(found) > 1 else "the only one here"


def candidates() -> list[Interpreter]:
    """The running Python, and what else is installed, each once."""
    running = of_process()
    found = {os.path.realpath(running.path): running}
    names = [f"python3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    paths = ["/usr/bin/python3", *map(shutil.which, names)] if os.name != "nt" else []
    for path in paths:
        python = probe(path) if path and os.path.realpath(path) not in found else None
        if python and OLDEST <= python.version[:2] <= NEWEST:
            found.setdefault(os.path.realpath(python.path), python)
    pythons = list(found.values())
    for _ in range(
        TURNS if len(pythons) > 1 else 0
    ):  # in turns: a busy moment of the machine must not decide
        pythons = [
            python._replace(best_s=min(python.best_s, (probe(python.path) or python).best_s))
            for python in pythons
        ]
    return pythons


def probe(path: str) -> Interpreter | None:
    """What ``path`` says about itself; None when it is no Python that works."""
    try:
        done = subprocess.run(
            [path, "-I", __file__], capture_output=True, text=True, timeout=PROBE_LIMIT_S, check=True
        )
        return Interpreter(*ast.literal_eval(done.stdout))
    except (OSError, subprocess.SubprocessError, SyntaxError, ValueError, TypeError):
        return None


def of_process() -> Interpreter:
    """The Python that runs this."""
    makes_environments = find_spec("venv") is not None and find_spec("ensurepip") is not None
    return Interpreter(sys.executable, sys.version_info[:3], makes_environments, _has_library(), _best_s())


def _has_library() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    name = sysconfig.get_config_var("INSTSONAME") or ""
    if ".so" not in name:
        return False
    for place in (os.path.join(sysconfig.get_config_var("LIBDIR") or "", name), name):
        try:
            ctypes.CDLL(place)
        except OSError:
            continue
        return True
    return False


def _best_s() -> float:
    """The shortest of several rounds: what else the machine does only ever adds time."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        _work()
        best = min(best, time.perf_counter() - started)
    return best


def _work() -> int:
    """What a gateway does all day: calls, attributes, dictionaries, text."""
    counts: dict[str, int] = {}
    total = 0
    for number in range(6000):
        name = f"x-header-{number & 63}".title()
        counts[name] = counts.get(name, 0) + len(name)
        total += max(counts[name], number)
    return total


if __name__ == "__main__":
    print(ascii(tuple(of_process())))
