"""URLs and requests as bytes: where a request goes, and its head as it is written."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from oneapi import __version__
from oneapi.upstream import failures
from oneapi.wire import UpstreamRequest

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH_SAFE = "/%:@!$&'()*+,;=-._~[]"
_QUERY_SAFE = _PATH_SAFE + "?"
# Framing and hop-by-hop fields are ours: a copy from a client's request must not reach the wire.
_OURS = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "proxy-authorization", "proxy-connection"}
    | {"te", "trailer", "transfer-encoding", "upgrade"}
)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_HOST_NAME = re.compile(r"[a-z0-9._-]+", re.IGNORECASE)
_USER_AGENT = f"User-Agent: one-api/{__version__}"


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL. ``host`` is ASCII without brackets; ``path`` is quoted and has the query."""

    scheme: str
    host: str
    port: int
    origin: str  # "https://example.com:443": what a connection is good for
    host_header: str
    path: str


def parse(url: str) -> Target:
    """The target of an absolute http or https URL. Raises UpstreamError.

    A name in the URL (``user:password@``) is dropped: channels carry their keys in headers.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        default = _DEFAULT_PORTS[parts.scheme]
        host = ascii_host(host or "")
    except (ValueError, KeyError):
        # ``from None``: the URL, which the error of the parser quotes, may hold a key.
        raise failures.network("the upstream's address is not a valid http or https URL") from None
    port = port or default
    shown = f"[{host}]" if ":" in host else host
    path = quote(parts.path or "/", safe=_PATH_SAFE)
    if parts.query:
        path += "?" + quote(parts.query, safe=_QUERY_SAFE)
    return Target(
        scheme=parts.scheme,
        host=host,
        port=port,
        origin=f"{parts.scheme}://{shown}:{port}",
        host_header=shown if port == default else f"{shown}:{port}",
        path=path,
    )


def ascii_host(host: str) -> str:
    """``host`` as it is looked up: punycode for names, addresses as they are. Raises ValueError."""
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    name = host.encode("idna").decode("ascii")
    if not _HOST_NAME.fullmatch(name):
        raise ValueError("not a host name")
    return name


def head(request: UpstreamRequest, target: Target, *, proxy_authorization: str | None = None) -> bytes:
    """The request's head up to Content-Length. Raises UpstreamError when a field cannot be sent as it is.

    ``proxy_authorization`` is not None when a proxy reads this head itself (plain http): then the request
    line names the whole URL, and a value that is not empty is the proxy's credential.
    """
    where = target.path
    if proxy_authorization is not None:
        where = f"{target.scheme}://{target.host_header}{where}"
    lines = [f"{request.method} {where} HTTP/1.1"]
    given = set()
    for name, value in request.headers:
        lower = name.lower()
        if lower not in _OURS:
            given.add(lower)
            lines.append(f"{name}: {value}")
    if "host" not in given:
        lines.insert(1, f"Host: {target.host_header}")
    if "accept-encoding" not in given:
        lines.append("Accept-Encoding: identity")
    if "user-agent" not in given:
        lines.append(_USER_AGENT)
    if proxy_authorization:
        lines.append(f"Proxy-Authorization: {proxy_authorization}")
    return _encode(lines)


def length(request: UpstreamRequest) -> bytes:
    """The end of the head, which differs from request to request."""
    if request.body or request.method in _WITH_BODY:
        return f"Content-Length: {len(request.body)}\r\n\r\n".encode()
    return b"\r\n"


def _encode(lines: list[str]) -> bytes:
    text = "\r\n".join(lines)
    breaks = len(lines) - 1
    # A key pasted with a line break must not become a header of its own.
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        raise failures.protocol("the request to the upstream has a header with a line break in it")
    try:
        return (text + "\r\n").encode("latin-1")
    except UnicodeEncodeError:
        return (text + "\r\n").encode("utf-8", "replace")
