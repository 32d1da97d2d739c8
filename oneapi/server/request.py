"""The head of a request, from bytes to what the server needs to know. No I/O.

llhttp judges the bytes: line ends, names, characters, lengths. What it tolerates and we do not is refused
here: everything that two HTTP programs in a row could read differently.

Clients say the same lines in request after request. A line that llhttp has accepted once is remembered with
its meaning, and a head of such lines alone is not shown to it again: what depends on more than one line (two
lengths, a length and a coding) is judged here anyway.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from tornado.httputil import RequestStartLine

from oneapi.errors import ClientError
from oneapi.server.headers import RequestHeaders
from oneapi.server.limits import Limits

CHUNKED = -1

# A second value of these changes where a message goes or where it ends.
_SINGLE = frozenset({"host", "content-length", "transfer-encoding"})
_HOST = re.compile(r"[A-Za-z0-9\-._~!$&'()*+;=%]*(:[0-9]*)?|\[[0-9A-Fa-f:.]+\](:[0-9]*)?")
_ABSOLUTE = re.compile(r"https?://([^/?#]+)(.*)", re.IGNORECASE)
_BLANK_LINES = re.compile(rb"(?:\r\n)*\r?")  # the last one may have come in part
_VERSIONS = ("HTTP/1.1", "HTTP/1.0")

# Lines that are remembered: so many, and none longer; a few megabytes at most.
_KNOWN_LINES = 4096
_KNOWN_LINE_BYTES = 256


def refusal(status: int, code: str, message: str) -> ClientError:
    """The error that the server itself answers."""
    return ClientError(message, status=status, code=code, type="invalid_request_error")


@dataclass(slots=True)
class Head:
    """What a request's head says. ``length`` of the body is `CHUNKED` when only its end tells."""

    start_line: RequestStartLine
    headers: RequestHeaders
    length: int
    keep_alive: bool
    expects_continue: bool
    http_1_1: bool


class _HeaderLines(dict[bytes, tuple[str, str]]):
    """Header lines that llhttp has accepted, with their lower-case name and their value."""

    def __missing__(self, line: bytes) -> tuple[str, str]:
        # The one line that differs between a client's requests is too plain to need a judge.
        if line[:16].lower() == b"content-length: " and line[16:].isdigit():
            return "content-length", line[16:].decode()
        raise KeyError(line)


_START_LINES: dict[bytes, RequestStartLine] = {}
_HEADER_LINES = _HeaderLines()


class HeadReader:
    """Collects the head of one request after the other, however the bytes are cut.

    ``started`` says whether the first bytes of a head wait for the others.
    """

    def __init__(self, limits: Limits) -> None:
        self.started = False
        self._limits = limits
        self._parser: HttpRequestParser | None = None  # has seen all of ``_seen``
        self._seen = bytearray()

    def feed(self, data: bytes) -> tuple[Head, bytes] | None:
        """The head that ``data`` completes, and what follows it. Raises ClientError, for good."""
        if self._parser is not None:
            return self._continue(data)
        if self._seen:
            data = bytes(self._seen) + data
            self._seen.clear()
        if data.startswith((b"\r", b"\n")):
            data = _without_blank_lines(data)
            if data in (b"", b"\r"):
                self._seen += data
                return None
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            self._begin(data)
            return None
        if end > self._limits.head_bytes:
            raise self._too_large(data)
        lines = data[: end - 4].split(b"\r\n")
        try:
            start_line = _START_LINES[lines[0]]
            del lines[0]
            # One call for all lines, and none of ours for a known one.
            values = dict(map(_HEADER_LINES.__getitem__, lines))
        except KeyError:
            _judge(HttpRequestParser(None), data[:end])
            return parse_head(data[: end - 4], self._limits), data[end:]
        return _head(start_line, values, lines, self._limits), data[end:]

    def _begin(self, data: bytes) -> None:
        parser = HttpRequestParser(None)
        _judge(parser, data)
        self._parser = parser
        self.started = True
        self._seen += data
        if len(data) > self._limits.head_bytes:
            raise self._too_large(data)

    def _continue(self, data: bytes) -> tuple[Head, bytes] | None:
        seen = len(self._seen)
        self._seen += data
        end = self._seen.find(b"\r\n\r\n", max(0, seen - 3)) + 4
        if end < 4:
            if len(self._seen) > self._limits.head_bytes:
                raise self._too_large(self._seen)
            _judge(self._parser, data)
            return None
        if end > self._limits.head_bytes:
            raise self._too_large(self._seen)
        _judge(self._parser, data[: end - seen])
        head = bytes(self._seen[: end - 4])
        self._parser = None
        self.started = False
        self._seen.clear()
        return parse_head(head, self._limits), data[end - seen :]

    def _too_large(self, head: bytes | bytearray) -> ClientError:
        if head.find(b"\r\n", 0, self._limits.head_bytes) < 0:
            return refusal(414, "uri_too_long", "The request target is too long.")
        return refusal(431, "headers_too_large", "The request's headers are too large.")


def _judge(parser: HttpRequestParser | None, data: bytes) -> None:
    """Show llhttp the next bytes of a head."""
    if parser is None:
        return
    try:
        parser.feed_data(data)
    except HttpParserUpgrade:
        pass  # an offer that a server may ignore (RFC 9110, 7.8); some clients offer HTTP/2 in every request
    except HttpParserError as exc:
        raise refusal(400, "bad_request", "The request is malformed.") from exc


def _without_blank_lines(data: bytes) -> bytes:
    """``data`` without the empty lines that old clients send between requests (RFC 9112, 2.2)."""
    stripped = data.lstrip(b"\r\n")
    blank = data[: len(data) - len(stripped)]
    if _BLANK_LINES.fullmatch(blank) is None or (stripped and blank.endswith(b"\r")):
        raise refusal(400, "bad_request", "The request is malformed.")
    return stripped or (b"\r" if blank.endswith(b"\r") else b"")


def parse_head(head: bytes, limits: Limits) -> Head:
    """``head`` is what llhttp has accepted, without the empty line at its end. Raises ClientError."""
    first, *lines = head.split(b"\r\n")
    start_line = _start_line(first.decode("latin-1"))
    fields = [_field(line) for line in lines]
    complete = _head(start_line, dict(fields), lines, limits)
    if len(_START_LINES) >= _KNOWN_LINES:
        _START_LINES.clear()
    if len(_HEADER_LINES) >= _KNOWN_LINES:
        _HEADER_LINES.clear()
    if len(first) <= _KNOWN_LINE_BYTES:
        _START_LINES[first] = start_line
    for line, field in zip(lines, fields, strict=True):
        if len(line) <= _KNOWN_LINE_BYTES:
            _HEADER_LINES[line] = field
    return complete


def _head(start_line: RequestStartLine, values: dict[str, str], lines: list[bytes], limits: Limits) -> Head:
    """What the accepted ``lines`` amount to; ``values`` are their fields, of equal names the last one's."""
    if len(lines) > limits.header_count:
        raise refusal(431, "too_many_headers", "The request has too many headers.")
    target = start_line[1]
    if len(target) > limits.target_bytes:
        raise refusal(414, "uri_too_long", "The request target is too long.")
    repeated = _join_repeated(values, lines) if len(values) < len(lines) else {}
    http_1_1 = start_line[2] == "HTTP/1.1"
    if target[0] != "/":
        start_line = _origin_form(start_line, values)
    host = values.get("host")
    if host is None:
        if http_1_1:
            raise refusal(400, "bad_request", "The request has no Host header.")
    elif not _is_host(host):
        raise refusal(400, "bad_request", "The Host header is malformed.")
    expect = values.get("expect")
    if expect is not None and expect.lower() != "100-continue":
        raise refusal(417, "expectation_failed", "Only Expect: 100-continue is supported.")
    connection = values.get("connection")
    return Head(
        start_line,
        RequestHeaders(values, repeated),
        _body_length(values, http_1_1=http_1_1),
        http_1_1 if connection is None else _keep_alive(connection, http_1_1=http_1_1),
        expect is not None and http_1_1,
        http_1_1,
    )


def _start_line(line: str) -> RequestStartLine:
    parts = line.split(" ")
    if len(parts) != 3:
        raise refusal(400, "bad_request", "The request line is malformed.")
    start_line = RequestStartLine._make(parts)
    if start_line.version not in _VERSIONS:
        raise refusal(505, "http_version_not_supported", "Only HTTP/1.1 and HTTP/1.0 are supported.")
    if start_line.method == "CONNECT":
        raise refusal(405, "method_not_allowed", "This server is not a proxy.")
    return start_line


def _origin_form(start_line: RequestStartLine, values: dict[str, str]) -> RequestStartLine:
    """``http://host/path`` as ``/path``; the host in it replaces the header (RFC 9112, 3.2.2)."""
    method, target, version = start_line
    if target == "*" and method == "OPTIONS":
        return start_line
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise refusal(400, "bad_request", "The request target is malformed.")
    if "host" in values or version == "HTTP/1.0":
        values["host"] = match[1]
    path = match[2]
    return RequestStartLine(method, path if path.startswith("/") else "/" + path, version)


def _field(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name.lower(), value.strip(" \t")


def _join_repeated(values: dict[str, str], lines: list[bytes]) -> dict[str, list[str]]:
    """Join in ``values`` what came repeatedly; the single values of those names."""
    repeated: dict[str, list[str]] = {}
    for line in lines:
        name, value = _field(line)
        repeated.setdefault(name, []).append(value)
    repeated = {name: several for name, several in repeated.items() if len(several) > 1}
    for name, several in repeated.items():
        if name in _SINGLE:
            raise refusal(400, "bad_request", f"The request has more than one {name} header.")
        values[name] = ",".join(several)
    return repeated


def _body_length(values: dict[str, str], *, http_1_1: bool) -> int:
    length = values.get("content-length")
    coding = values.get("transfer-encoding")
    if coding is not None:
        if length is not None or coding.lower() != "chunked" or not http_1_1:
            raise refusal(400, "bad_request", "The framing of the request's body is not supported.")
        return CHUNKED
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit() and len(length) < 20):
        raise refusal(400, "bad_request", "The Content-Length header is malformed.")
    return int(length)


def _keep_alive(connection: str, *, http_1_1: bool) -> bool:
    options = [option.strip() for option in connection.lower().split(",")]
    return "close" not in options and (http_1_1 or "keep-alive" in options)


@lru_cache(256)
def _is_host(host: str) -> bool:
    return _HOST.fullmatch(host) is not None
