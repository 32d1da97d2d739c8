"""Request bodies that arrive compressed."""

import asyncio
import zlib
from collections.abc import Awaitable, Iterator

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from oneapi.errors import ClientError
from oneapi.server.connection import Connection
from oneapi.server.request import refusal
from oneapi.server.response import error_body

# As much is inflated at once; other connections have their turn before the next step.
_STEP_BYTES = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS


class InflatingDelegate(HTTPMessageDelegate):
    """Gives ``inner`` the body without its ``Content-Encoding: gzip``; any other body passes unchanged.

    A broken body is answered here with an empty 400, as One API does, and one that inflates to more than
    ``limit_bytes`` with 413. ``inner`` gets ``on_connection_close`` then.
    """

    def __init__(self, inner: HTTPMessageDelegate, connection: Connection, limit_bytes: int) -> None:
        self._inner = inner
        self._connection = connection
        self._allowed = limit_bytes
        self._inflater: zlib._Decompress | None = None
        self._over = False  # answered here, or the client is gone

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """See Tornado."""
        if headers.get("content-encoding", "").lower() in ("gzip", "x-gzip"):
            del headers["Content-Encoding"]
            self._inflater = zlib.decompressobj(_GZIP)
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """See Tornado."""
        if self._over:
            return None
        if self._inflater is None:
            return self._inner.data_received(chunk)
        pieces = self._pieces(chunk)
        piece = next(pieces, None)
        if piece is None:
            return None
        wait = self._inner.data_received(piece)
        # Less than a step was all there is.
        if wait is None and len(piece) < _STEP_BYTES and not self._has_more():
            return None
        return self._pass_on(wait, pieces)

    def finish(self) -> None:
        """See Tornado."""
        if self._over:
            return
        if self._inflater is not None and not self._inflater.eof:
            self._refuse(None)
            return
        self._inner.finish()

    def on_connection_close(self) -> None:
        """See Tornado."""
        if not self._over:
            self._over = True
            self._inner.on_connection_close()

    async def _pass_on(self, wait: Awaitable[None] | None, pieces: Iterator[bytes]) -> None:
        while not self._over:
            if wait is None:
                await asyncio.sleep(0)
            else:
                await wait
            piece = next(pieces, None)
            if piece is None:
                return
            wait = self._inner.data_received(piece)

    def _has_more(self) -> bool:
        inflater = self._inflater
        return inflater is not None and bool(inflater.unconsumed_tail or inflater.unused_data)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """``data`` inflated step by step; ends early when the request has been refused."""
        while data and not self._over and self._inflater is not None:
            if self._inflater.eof:  # a gzip file may be several, one behind the other
                self._inflater = zlib.decompressobj(_GZIP)
            try:
                piece = self._inflater.decompress(data, _STEP_BYTES)
            except zlib.error:
                self._refuse(None)
                return
            self._allowed -= len(piece)
            if self._allowed < 0:
                self._refuse(refusal(413, "request_too_large", "The request's body is too large."))
                return
            data = self._inflater.unconsumed_tail or self._inflater.unused_data
            if piece:
                yield piece

    def _refuse(self, error: ClientError | None) -> None:
        """Answer in ``inner``'s place; None: the body is no gzip."""
        self._over = True
        if error is None:
            self._connection.respond(400, ())
        else:
            headers = (("Content-Type", "application/json"),)
            self._connection.respond(error.status, headers, error_body(error))
        self._inner.on_connection_close()
