"""The chunked transfer coding of request bodies (RFC 9112, 7.1): bytes in, bytes out, no I/O.

Not llhttp's: it does not say at which byte a message ends, which pipelining needs, and it sets no limit to
chunk extensions and trailers.
"""

import re

from oneapi.errors import ClientError
from oneapi.server.request import refusal

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_MAX_LINE = 4096
_MAX_TRAILERS = 64 << 10


class ChunkedBody:
    """One body. ``done`` says that its end was seen; ``rest`` is what followed it."""

    def __init__(self, limit_bytes: int) -> None:
        self.done = False
        self.rest = b""
        self._allowed = limit_bytes  # of body bytes still to be announced
        self._pending = b""  # the beginning of a line
        self._left = 0  # bytes of the current chunk
        self._read_line = ChunkedBody._size_line  # not bound: that would be a reference cycle
        self._trailers = 0

    def feed(self, data: bytes) -> bytes:
        """The body bytes in ``data``. Raises ClientError: malformed, or longer than allowed."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        pieces = []
        at = 0
        while at < len(data) and not self.done:
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                continue
            end = data.find(b"\r\n", at, at + _MAX_LINE)
            if end < 0:
                self._pending = _unfinished_line(data[at:])
                return b"".join(pieces)
            self._read_line(self, data[at:end])
            at = end + 2
        if self.done:
            self.rest = data[at:]
        return b"".join(pieces)

    def _size_line(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise _malformed()
        self._left = int(match[1], 16)
        self._allowed -= self._left
        if self._allowed < 0:
            raise refusal(413, "request_too_large", "The request's body is too large.")
        self._read_line = ChunkedBody._chunk_end if self._left else ChunkedBody._trailer_line

    def _chunk_end(self, line: bytes) -> None:
        if line:
            raise _malformed()
        self._read_line = ChunkedBody._size_line

    def _trailer_line(self, line: bytes) -> None:
        self._trailers += len(line)
        if not line:
            self.done = True
        elif _TRAILER.fullmatch(line) is None:
            raise _malformed()
        elif self._trailers > _MAX_TRAILERS:
            raise refusal(431, "trailers_too_large", "The request's trailers are too large.")


def _unfinished_line(line: bytes) -> bytes:
    if len(line) >= _MAX_LINE or b"\n" in line:  # a line feed alone would otherwise wait for the time limit
        raise _malformed()
    return line


def _malformed() -> ClientError:
    return refusal(400, "bad_request", "The chunked body is malformed.")
