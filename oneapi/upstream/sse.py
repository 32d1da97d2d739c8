"""Server-sent events, decoded without I/O.

The bytes may be cut anywhere, also inside a character or between CR and LF. Lines end in LF, CRLF or CR, and
may be as long as the memory limit allows.
"""

from oneapi.upstream import failures
from oneapi.wire import Event

LIMIT_BYTES = 16 * 1024 * 1024
_LINE_BYTES = 8  # what a line costs even when it is empty
_BOM = b"\xef\xbb\xbf"


class SSEDecoder:
    """The state of one event stream. ``limit_bytes`` bounds an event that has not ended yet."""

    __slots__ = (
        "_after_cr",
        "_between",
        "_counted",
        "_data",
        "_data_bytes",
        "_limit_bytes",
        "_name",
        "_started",
        "_tail",
        "_tail_bytes",
    )

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._tail: list[bytes] = []  # pieces of a line that has not ended; joined once, when it has
        self._tail_bytes = 0
        self._data: list[bytes] = []  # the ``data`` lines of an event that has not ended
        self._data_bytes = 0
        self._counted = 0  # how many of _data are in _data_bytes
        self._name = ""
        self._after_cr = False
        self._started = False
        self._between = False  # nothing is held: the next byte begins an event

    def feed(self, piece: bytes) -> list[Event]:
        """The events that ``piece`` completes. Raises UpstreamError above the memory limit."""
        # One whole event in one piece is how nearly all of them come.
        if self._between and piece[:6] == b"data: " and _is_one_event(piece):
            return [Event(piece[6:-2])]
        if (self._after_cr or b"\r" in piece) and not (piece := self._without_cr(piece)):
            return []
        lines = piece.split(b"\n")
        tail = lines.pop()
        events: list[Event] = []
        if lines:
            if self._tail:
                self._tail.append(lines[0])
                lines[0] = b"".join(self._tail)
                self._tail = []
                self._tail_bytes = 0
            self._take(lines, events)
        if tail:
            self._tail.append(tail)
            self._tail_bytes += len(tail)
        if self._tail_bytes + self._data_bytes > self._limit_bytes:
            raise failures.protocol("the upstream's stream has an event larger than the limit")
        self._between = not (tail or self._tail or self._data or self._name or self._after_cr)
        return events

    def finish(self) -> list[Event]:
        """The event that the end of the stream completes: its blank line is often missing."""
        events: list[Event] = []
        lines = [b"".join(self._tail), b""]
        self._tail = []
        self._take(lines, events)
        return events

    def _take(self, lines: list[bytes], events: list[Event]) -> None:
        if not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(_BOM)
        data = self._data
        for line in lines:
            if line[:5] == b"data:":
                # Exactly one space belongs to the syntax: Replicate's tokens begin with the second one.
                data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line:
                self._field(line)
            else:
                if data:
                    events.append(Event(data[0] if len(data) == 1 else b"\n".join(data), self._name))
                    data.clear()
                    self._data_bytes = self._counted = 0
                self._name = ""
        if data:
            # Only the new lines, so that an event of very many lines is not counted again for each of them.
            fresh = data[self._counted :]
            self._data_bytes += sum(map(len, fresh)) + _LINE_BYTES * len(fresh)
            self._counted = len(data)

    def _field(self, line: bytes) -> None:
        """A line that is not blank and no ``data:`` line; comments and other fields are dropped."""
        field, _, value = line.partition(b":")
        if field == b"event":
            self._name = value.removeprefix(b" ").decode("utf-8", "replace")
        elif field == b"data":
            self._data.append(b"")  # the field's name alone is an empty value

    def _without_cr(self, piece: bytes) -> bytes:
        """``piece`` with LF for each line end; the LF of a CRLF that was cut apart is dropped."""
        if not piece:
            return piece
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_cr = False
            if not piece:
                return piece
        self._after_cr = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _is_one_event(piece: bytes) -> bool:
    """Whether the only line ends of ``piece`` are the two that end an event."""
    return piece.endswith(b"\n\n") and piece.find(b"\n") == len(piece) - 2 and b"\r" not in piece
