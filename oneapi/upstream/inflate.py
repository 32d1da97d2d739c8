"""Content codings, undone piece by piece without I/O.

Output is handed out in bounded pieces however well the input was compressed, so a small answer cannot fill
the memory.
"""

import zlib
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # it has no annotations

from oneapi.upstream import failures

OUTPUT_BYTES = 256 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_PLAIN = frozenset({"", "identity"})
_BROKEN = "the upstream's answer is compressed and cannot be read"
_CUT_OFF = "the upstream's compressed answer was cut off"


class Inflater(Protocol):
    """One coded body. ``pending``: call ``inflate(b"")`` for more before feeding the next input."""

    pending: bool

    def inflate(self, data: bytes) -> bytes:
        """About OUTPUT_BYTES at most. Raises UpstreamError for broken input."""

    def finish(self) -> None:
        """The input has ended. Raises UpstreamError when the coded body has not."""


def make_inflater(content_encoding: str) -> Inflater | None:
    """What undoes ``content_encoding``; None when there is nothing to undo."""
    codings = [name for part in content_encoding.split(",") if (name := part.strip().lower()) not in _PLAIN]
    if not codings:
        return None
    if codings in (["gzip"], ["x-gzip"], ["deflate"]):
        return _Zlib()
    if codings == ["br"]:
        return _Brotli()
    return _Unknown()


class _Zlib:
    """gzip, also of several members, and deflate with or without the zlib wrapper that it should have."""

    def __init__(self) -> None:
        self.pending = False
        self._rest = b""  # input that was not used yet
        self._engine: zlib._Decompress | None = None
        self._members = 0

    def inflate(self, data: bytes) -> bytes:
        data = self._rest + data if self._rest else data
        if self._engine is None:
            if len(data) < len(_GZIP_MAGIC):
                return self._keep(b"", data)
            if self._members and not data.startswith(_GZIP_MAGIC):
                return self._keep(b"", b"")  # padding after the end is allowed, and nothing to us
            self._engine = zlib.decompressobj(_window_bits(data))
            self._members += 1
        engine = self._engine
        try:
            out = engine.decompress(data, OUTPUT_BYTES)
        except zlib.error as exc:
            raise failures.protocol(_BROKEN) from exc
        if engine.eof:
            self._engine = None
            return self._keep(out, engine.unused_data)
        return self._keep(out, engine.unconsumed_tail)

    def _keep(self, out: bytes, rest: bytes) -> bytes:
        self._rest = rest
        if self._engine is None:
            self.pending = len(rest) >= len(_GZIP_MAGIC)
        else:
            self.pending = bool(rest) or len(out) >= OUTPUT_BYTES
        return out

    def finish(self) -> None:
        if self._engine is not None or (self._rest and not self._members):
            raise failures.protocol(_CUT_OFF)


class _Brotli:
    def __init__(self) -> None:
        self.pending = False
        self._engine = brotli.Decompressor()
        self._fed = False

    def inflate(self, data: bytes) -> bytes:
        self._fed = True
        try:
            out: bytes = self._engine.process(data, output_buffer_limit=OUTPUT_BYTES)
        except brotli.error as exc:
            raise failures.protocol(_BROKEN) from exc
        self.pending = len(out) >= OUTPUT_BYTES or not self._engine.can_accept_more_data()
        return out

    def finish(self) -> None:
        if self._fed and not self._engine.is_finished():
            raise failures.protocol(_CUT_OFF)


class _Unknown:
    """Fails when the body is read, not before: status and headers are worth having."""

    pending = False

    def inflate(self, data: bytes) -> bytes:  # noqa: ARG002  the protocol's signature
        raise failures.protocol("the upstream's answer has a content coding that is not supported")

    def finish(self) -> None:
        """An empty body needs no decoding."""


def _window_bits(data: bytes) -> int:
    if data.startswith(_GZIP_MAGIC):
        return zlib.MAX_WBITS | 16
    # RFC 1950: the method's number is 8 and the first two bytes are a multiple of 31. Some servers send the
    # bare deflate data instead.
    wrapped = data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0
    return zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS
