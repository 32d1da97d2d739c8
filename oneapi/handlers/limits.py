"""Rate limits: a sliding log of accepted requests per caller, as in One API."""

import time
from collections import deque
from collections.abc import Callable

# So many callers are remembered before those whose window is over are dropped.
_MANY = 10_000


class SlidingLog:
    """At most ``limit`` accepted requests of one caller in any ``window_s`` seconds; 0 means no limit.

    Refused requests do not count, and time has a resolution of one second.
    """

    def __init__(self, limit: int, window_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._window_s = window_s
        self._clock = clock
        self._accepted: dict[str, deque[int]] = {}
        self._room = _MANY

    def admits(self, caller: str) -> bool:
        """Whether ``caller`` may go on; counts the request when he may."""
        if self._limit <= 0:
            return True
        now = int(self._clock())
        log = self._accepted.get(caller)
        if log is None:
            if len(self._accepted) >= self._room:
                self._forget(now)
            log = self._accepted[caller] = deque(maxlen=self._limit)
        if len(log) == self._limit and now - log[0] < self._window_s:
            return False
        log.append(now)
        return True

    def _forget(self, now: int) -> None:
        self._accepted = {k: log for k, log in self._accepted.items() if now - log[-1] < self._window_s}
        # Twice what is left: dropping stays cheap however many callers come.
        self._room = max(_MANY, 2 * len(self._accepted))
