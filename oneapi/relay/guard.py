"""The one place where a failed exchange becomes what its client sees."""

import logging
from collections.abc import Awaitable

import orjson

from oneapi.errors import ClientError, GatewayError
from oneapi.relay import dialect
from oneapi.relay.exchange import Client, Inbound

log = logging.getLogger(__name__)


async def answered(inbound: Inbound, client: Client, work: Awaitable[None]) -> None:
    """Run ``work``. The client gets exactly one answer or error; only cancellation escapes."""
    try:
        await work
    except GatewayError as error:
        _refuse(inbound, client, error)
    except orjson.JSONEncodeError:
        too_deep = ClientError("the JSON is nested too deeply", code="invalid_text_request")
        _refuse(inbound, client, too_deep)
    except Exception:
        log.exception("exchange failed path=%s", inbound.path)
        _refuse(inbound, client, GatewayError("internal error: the log says more", code="internal_error"))


def _refuse(inbound: Inbound, client: Client, error: GatewayError) -> None:
    if not client.started:
        body = dialect.error_body(error, inbound.request_id)
        client.respond(error.status, dialect.error_headers(error), body)
    elif not client.ended:
        client.abort()
