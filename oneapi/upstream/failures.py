"""The one place where errors of sockets, TLS, name look-up and HTTP parsing become ``UpstreamError``.

The texts are shown to clients: they name the kind of failure, never an address, a URL or a credential. What
the system said stays in the exception chain.
"""

import errno
import socket
import ssl

from oneapi.errors import Failure, UpstreamError

_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})


def network(text: str) -> UpstreamError:
    """The upstream could not be reached, or the connection broke."""
    return _error(text, Failure.NETWORK, 500)


def protocol(text: str) -> UpstreamError:
    """The upstream answered with something that is not the HTTP we can use."""
    return _error(text, Failure.PROTOCOL, 500)


def timeout(text: str) -> UpstreamError:
    """A limit on waiting has passed."""
    return _error(text, Failure.TIMEOUT, 504)


def not_connected(exc: Exception) -> UpstreamError:
    """What a failure to connect (look-up, socket, proxy socket, TLS) means to the caller."""
    if isinstance(exc, TimeoutError):
        return timeout("the upstream could not be reached in time")
    return network(f"the upstream could not be reached: {_reason(exc)}")


def broken(exc: Exception | None) -> UpstreamError:
    """What the loss of an established connection means; None is an orderly end that came too early."""
    if isinstance(exc, TimeoutError):  # the kernel gave up on an unanswered segment
        return timeout("the upstream stopped answering")
    if isinstance(exc, ssl.SSLError):
        return network("the connection to the upstream broke: TLS failed")
    if exc is not None:
        return network("the connection to the upstream broke before its answer was complete")
    return network("the upstream closed the connection before its answer was complete")


def _reason(exc: Exception) -> str:
    if isinstance(exc, socket.gaierror):
        return "its name was not found"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return "its TLS certificate is not trusted or not for this host"
    if isinstance(exc, ssl.SSLError):
        return "TLS failed"
    if isinstance(exc, ConnectionRefusedError):
        return "connection refused"
    if isinstance(exc, ConnectionError):
        return "the connection was closed"
    code = exc.errno if isinstance(exc, OSError) else None
    if code in _UNREACHABLE:
        return "no route to it"
    return "too many open files" if code in _OUT_OF_FILES else "network error"


def _error(text: str, failure: Failure, status: int) -> UpstreamError:
    return UpstreamError(
        text, failure=failure, status=status, code="do_request_failed", type="one_api_error", param=""
    )
