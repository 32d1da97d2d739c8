"""Every failure that a caller can see, as one tree.

GatewayError                 has status, type, code, param: One API's error envelope
 +- ClientError              the request cannot be served as it is; no other channel would help
 |   +- AuthenticationError, PermissionDeniedError, InsufficientQuotaError, PayloadTooLargeError ...
 +- NoChannelError           nothing to route to
 +- UpstreamError            an upstream failed; its ``failure`` decides retry, cool-down, disable

A text here is shown to the client: no key, no upstream address, no traceback in it.
"""

from enum import Enum


class Failure(Enum):
    """Why an attempt failed. ``relay.retry`` has the one table of what follows from it."""

    AUTH = "auth"
    QUOTA = "quota"
    RATE = "rate"
    OVERLOAD = "overload"
    NETWORK = "network"
    TIMEOUT = "timeout"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    POLICY = "policy"
    EMPTY = "empty"
    PROTOCOL = "protocol"


class GatewayError(Exception):
    """A failure with an HTTP ``status``, and ``type``, ``code``, ``param`` of One API's error envelope."""

    status = 500
    type = "one_api_error"
    code: str | int | None = ""
    param: str | None = ""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | int | None = None,
        type: str | None = None,  # noqa: A002  the envelope's own word
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status
        if code is not None:
            self.code = code
        if type is not None:
            self.type = type
        if param is not None:
            self.param = param


class ClientError(GatewayError):
    """The request is wrong as it stands; nothing was sent upstream and nothing is charged."""

    status = 400
    code = "invalid_request"


class AuthenticationError(ClientError):
    """No token, or one that does not work (any more)."""

    status = 401
    code = "invalid_api_key"


class PermissionDeniedError(ClientError):
    """A valid token that may not do this."""

    status = 403
    code = "permission_denied"


class InsufficientQuotaError(ClientError):
    """The user or the token cannot pay for the estimate."""

    status = 403
    code = "insufficient_user_quota"


class PayloadTooLargeError(ClientError):
    """A body above the limit."""

    status = 413
    code = "request_too_large"


class NoChannelError(GatewayError):
    """No channel serves this model for this group."""

    status = 503
    code = "no_available_channel"


class UpstreamError(GatewayError):
    """An upstream answered with a failure, broke off, or could not be reached.

    ``status`` is what the client gets; ``upstream_status`` what the upstream answered (0: no answer).
    ``retry_after_s`` comes from the upstream's ``Retry-After``. ``message`` may be the vendor's own text.
    """

    status = 502
    type = "upstream_error"
    code: str | int | None = "bad_response_status_code"

    def __init__(  # noqa: PLR0913  all by name
        self,
        message: str,
        *,
        failure: Failure,
        status: int | None = None,
        upstream_status: int = 0,
        code: str | int | None = None,
        type: str | None = None,  # noqa: A002  the envelope's own word
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, type=type, param=param)
        self.failure = failure
        self.upstream_status = upstream_status
        self.retry_after_s = retry_after_s
