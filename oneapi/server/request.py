"""The head of a request, from bytes to what the server needs to know. No I/O.

llhttp judges the bytes: line ends, names, characters, lengths. What it tolerates and we do not is refused
here: everything that two HTTP programs in a row could read differently.

Clients say the same head in request after request, but for the length of the body. What was accepted once is
remembered with its meaning, and read again without llhttp.
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
_LINE_ENDS = (b"\r", b"\n")
_LENGTH_DIGITS = 16  # of a body's length; longer numbers are left to llhttp

# Heads that are remembered: so many, and none longer; a few megabytes at most.
_KNOWN_HEADS = 2048
_KNOWN_HEAD_BYTES = 2048


def refusal(status: int, code: str, message: str) -> ClientError:
    """The error that the server itself answers."""
    return ClientError(message, status=status, code=code, type="invalid_request_error")


@dataclass(slots=True)
class Head:
    """What a request's head says, and all that say the same; its headers are never changed."""

    start_line: RequestStartLine
    path: str  # of the request's target ...
    query: str  # ... and what follows the question mark
    values: dict[str, str]  # lower-case name -> value; several values joined with a comma
    repeated: dict[str, list[str]]  # lower-case name -> its values, when it came more than once
    length: int  # of the body; `CHUNKED` when only its end tells
    keep_alive: bool
    expects_continue: bool
    http_1_1: bool


# A head, its headers (the caller's own), the length of its body, and the bytes that follow it.
Complete = tuple[Head, RequestHeaders, int, bytes]
# Heads by their bytes, but for the digits of Content-Length.
KnownHeads = dict[bytes, Head]


class HeadReader:
    """Collects the head of one request after the other, however the bytes are cut.

    ``started`` says whether the first bytes of a head wait for the others.
    """

    def __init__(self, limits: Limits, known: KnownHeads) -> None:
        self.started = False
        self._limits = limits
        self._known = known  # shared by readers with the same limits
        self._parser: HttpRequestParser | None = None  # has seen all of ``_seen``
        self._seen = bytearray()

    def feed(self, data: bytes) -> Complete | None:
        """The head that ``data`` completes. Raises ClientError, for good."""
        if self._parser is not None:
            return self._continue(data)
        if self._seen:
            data = bytes(self._seen) + data
            self._seen.clear()
        if data[:1] in _LINE_ENDS:
            data = _without_blank_lines(data)
            if data in (b"", b"\r"):
                self._seen += data
                return None
        text, complete, rest = data.partition(b"\r\n\r\n")
        if not complete:
            self._begin(data)
            return None
        before, found, after = text.partition(b"\r\nContent-Length: ")
        if not found:
            before, found, after = text.partition(b"\r\ncontent-length: ")
        digits, _, after = after.partition(b"\r\n")
        key = b"".join((before, b"\r\n\r\n", after)) if found else text
        head = self._known.get(key)
        if head is None or (found and not (digits.isdigit() and len(digits) <= _LENGTH_DIGITS)):
            return self._unknown(text, key, rest)
        values = head.values.copy()
        if not found:
            return head, RequestHeaders(values, head.repeated), head.length, rest
        values["content-length"] = digits.decode()
        return head, RequestHeaders(values, head.repeated), int(digits), rest

    def _unknown(self, text: bytes, key: bytes, rest: bytes) -> Complete:
        if len(text) + 4 > self._limits.head_bytes:
            raise self._too_large(text + b"\r\n")
        _judge(HttpRequestParser(None), text + b"\r\n\r\n")
        head = parse_head(text, self._limits)
        if len(key) <= _KNOWN_HEAD_BYTES:
            if len(self._known) >= _KNOWN_HEADS:
                self._known.clear()
            self._known[key] = head
        return _complete(head, rest)

    def _begin(self, data: bytes) -> None:
        parser = HttpRequestParser(None)
        _judge(parser, data)
        self._parser = parser
        self.started = True
        self._seen += data
        if len(data) > self._limits.head_bytes:
            raise self._too_large(data)

    def _continue(self, data: bytes) -> Complete | None:
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
        return _complete(parse_head(head, self._limits), data[end - seen :])

    def _too_large(self, head: bytes | bytearray) -> ClientError:
        if head.find(b"\r\n", 0, self._limits.head_bytes) < 0:
            return refusal(414, "uri_too_long", "The request target is too long.")
        return refusal(431, "headers_too_large", "The request's headers are too large.")


def _complete(head: Head, rest: bytes) -> Complete:
    return head, RequestHeaders(head.values.copy(), head.repeated), head.length, rest


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
    lines = head.decode("latin-1").split("\r\n")
    if len(lines) > limits.header_count + 1:
        raise refusal(431, "too_many_headers", "The request has too many headers.")
    start_line = _start_line(lines[0], limits)
    values, repeated = _fields(lines[1:])
    http_1_1 = start_line[2] == "HTTP/1.1"
    if start_line[1][0] != "/":
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
    path, _, query = start_line[1].partition("?")
    return Head(
        start_line,
        path,
        query,
        values,
        repeated,
        _body_length(values, http_1_1=http_1_1),
        _keep_alive(values.get("connection"), http_1_1=http_1_1),
        expect is not None and http_1_1,
        http_1_1,
    )


def _start_line(line: str, limits: Limits) -> RequestStartLine:
    parts = line.split(" ")
    if len(parts) != 3:
        raise refusal(400, "bad_request", "The request line is malformed.")
    start_line = RequestStartLine._make(parts)
    method, target, version = start_line
    if len(target) > limits.target_bytes:
        raise refusal(414, "uri_too_long", "The request target is too long.")
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise refusal(505, "http_version_not_supported", "Only HTTP/1.1 and HTTP/1.0 are supported.")
    if method == "CONNECT":
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


def _fields(lines: list[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Lower-case names with their values, joined; and the single values of those that came repeatedly."""
    fields = [line.partition(":") for line in lines]
    values = {name.lower(): value.strip(" \t") for name, _, value in fields}
    repeated: dict[str, list[str]] = {}
    if len(values) < len(fields):
        for name, _, value in fields:
            repeated.setdefault(name.lower(), []).append(value.strip(" \t"))
        repeated = {name: several for name, several in repeated.items() if len(several) > 1}
        for name, several in repeated.items():
            if name in _SINGLE:
                raise refusal(400, "bad_request", f"The request has more than one {name} header.")
            values[name] = ",".join(several)
    return values, repeated


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


def _keep_alive(connection: str | None, *, http_1_1: bool) -> bool:
    if connection is None:
        return http_1_1
    options = [option.strip() for option in connection.lower().split(",")]
    return "close" not in options and (http_1_1 or "keep-alive" in options)


@lru_cache(256)
def _is_host(host: str) -> bool:
    return _HOST.fullmatch(host) is not None
