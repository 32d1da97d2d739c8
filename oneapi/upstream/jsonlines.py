"""Newline-delimited JSON, decoded without I/O: one event per line that is not blank."""

from oneapi.upstream import failures
from oneapi.upstream.sse import LIMIT_BYTES
from oneapi.wire import Event

_BOM = b"\xef\xbb\xbf"


class JSONLinesDecoder:
    """The state of one stream of lines, which may be cut anywhere. ``limit_bytes`` bounds a line."""

    __slots__ = ("_held_bytes", "_limit_bytes", "_started", "_tail")

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._tail: list[bytes] = []  # pieces of a line that has not ended; joined once, when it has
        self._held_bytes = 0
        self._started = False

    def feed(self, piece: bytes) -> list[Event]:
        """The lines that ``piece`` completes. Raises UpstreamError above the memory limit."""
        lines = piece.split(b"\n")
        tail = lines.pop()
        if lines and self._tail:
            self._tail.append(lines[0])
            lines[0] = b"".join(self._tail)
        if lines:
            self._tail = []
            self._held_bytes = 0
        if tail:
            self._tail.append(tail)
            self._held_bytes += len(tail)
        if self._held_bytes > self._limit_bytes:
            raise failures.protocol("the upstream's stream has a line larger than the limit")
        return self._events(lines)

    def finish(self) -> list[Event]:
        """The last line, when it has no line end."""
        line = b"".join(self._tail)
        self._tail = []
        return self._events([line])

    def _events(self, lines: list[bytes]) -> list[Event]:
        if lines and not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(_BOM)
        return [Event(text) for line in lines if (text := line.strip())]
