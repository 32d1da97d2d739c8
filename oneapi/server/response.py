"""The head of a response as bytes. No I/O."""

import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

import orjson

from oneapi.errors import GatewayError

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class StatusLines:
    """``HTTP/1.1 200 OK`` and the Date header, made once per second and status."""

    def __init__(self) -> None:
        self._until = 0.0
        self.date = b""  # the header with its line end, as of the last `for_status`
        self._lines: dict[int, bytes] = {}

    def for_status(self, status: int) -> bytes:
        """Status line and Date header, each with its line end."""
        now = time.time()
        if not self._until - 1 <= now < self._until:
            second = int(now)
            self._until = second + 1.0
            self._lines.clear()
            self.date = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
        line = self._lines.get(status)
        if line is None:
            line = self._lines[status] = status_line(status, _REASONS.get(status, "Unknown")) + self.date
        return line


def status_line(status: int, reason: str) -> bytes:
    """The first line of a response. Raises ValueError when ``reason`` would start a second one."""
    if "\r" in reason or "\n" in reason:
        raise ValueError("line breaks are not allowed in a reason")
    return f"HTTP/1.1 {status} {reason}\r\n".encode("latin-1")


def error_body(error: GatewayError) -> bytes:
    """The error as JSON, for answers that the server gives in the application's place."""
    content = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return orjson.dumps({"error": content})


def header_lines(headers: Iterable[tuple[str, str]]) -> str:
    """``headers`` as lines. Raises ValueError when a name or value would start a line of its own."""
    lines = ""
    for name, value in headers:
        line = f"{name}: {value}"
        if "\n" in line or "\r" in line or "\0" in line:
            raise ValueError("line breaks are not allowed in headers")
        lines = f"{lines}{line}\r\n"
    return lines


def has_body(status: int) -> bool:
    """Whether a response of this status has a body (and so a Content-Length or chunks)."""
    return status >= 200 and status not in (204, 304)
