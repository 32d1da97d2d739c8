"""Names to addresses, off the event loop and remembered for a short while."""

import asyncio
import socket
from time import monotonic

_Key = tuple[str, int]
_MOST_NAMES = 1000


class Resolver:
    """The system's resolver with a cache. Failures are not remembered."""

    def __init__(self, *, keep_s: float = 60.0) -> None:
        self._keep_s = keep_s
        self._known: dict[_Key, tuple[float, list[str]]] = {}
        self._asked: dict[_Key, asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str, port: int) -> list[str]:
        """At least one IP address, the best first. Raises OSError (``socket.gaierror``)."""
        key = (host, port)
        known = self._known.get(key)
        if known is not None and known[0] > monotonic():
            return known[1]
        asked = self._asked.get(key)
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = loop.run_in_executor(None, _look_up, host, port)
            self._asked[key] = asked
            asked.add_done_callback(lambda done: self._answered(key, done))
        # Others may wait for the same name: one that gives up must not take the answer from them.
        return await asyncio.shield(asked)

    def prefer(self, host: str, port: int, address: str) -> None:
        """Remember that ``address`` worked: a host whose IPv6 is broken costs its delay only once."""
        known = self._known.get((host, port))
        if known is not None and known[1][0] != address and address in known[1]:
            known[1].remove(address)
            known[1].insert(0, address)

    def forget(self, host: str, port: int) -> None:
        """None of the addresses worked: ask again next time."""
        self._known.pop((host, port), None)

    def _answered(self, key: _Key, done: "asyncio.Future[list[str]]") -> None:
        del self._asked[key]
        if done.cancelled() or done.exception() is not None:
            return
        if len(self._known) >= _MOST_NAMES:
            self._known.clear()
        self._known[key] = (monotonic() + self._keep_s, done.result())


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]
