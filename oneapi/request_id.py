"""Request ids in One API's form: local ``YYYYMMDDhhmmss``, nine digits of nanoseconds, eight random ones."""

import random
import time

_random = random.Random()  # noqa: S311  seeded by the system; an id has to be unique, not secret
_last_ns = 0
_second = ""
_prefix = ""
_suffix = ""


def new() -> str:
    """An id of 31 digits that no other request has had, also before a restart.

    The time in it never stands still or goes back within the process, even when the clock does; the random
    digits, drawn anew each second, tell processes apart.
    """
    global _last_ns, _second, _prefix, _suffix  # noqa: PLW0603  one event loop, one sequence
    now_ns = time.time_ns()
    if now_ns <= _last_ns:
        now_ns = _last_ns + 1
    _last_ns = now_ns
    digits = str(now_ns)  # ten of seconds, nine of nanoseconds
    second = digits[:-9]
    if second != _second:
        _prefix = time.strftime("%Y%m%d%H%M%S", time.localtime(int(second)))
        _suffix = f"{_random.randrange(100_000_000):08d}"
        _second = second
    return f"{_prefix}{digits[-9:]}{_suffix}"
