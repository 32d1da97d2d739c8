"""Routes outside the relay that a relay token opens: any page may ask with its own key, not with cookies."""

import time
from collections.abc import Awaitable

from oneapi.errors import GatewayError
from oneapi.handlers.base import Base, Services
from oneapi.relay import auth
from oneapi.relay.auth import Caller
from oneapi.wire import Json


class TokenRoute(Base):
    """An answer for the bearer of a relay token; any page may ask with its own key."""

    compresses = False

    def initialize(self, services: Services) -> None:
        """Take over what ``routes`` gave."""
        self.services = services

    def set_default_headers(self) -> None:
        """Let pages of any origin read the answer; cookies are never part of it."""
        super().set_default_headers()
        if "Origin" in self.request.headers:
            self.set_header("Access-Control-Allow-Origin", "*")

    def caller(self) -> Caller | None:
        """The caller; None when the refusal has been sent."""
        store = self.services.context.store
        header = self.request.headers.get("Authorization", "")
        try:
            return auth.authenticate(store, header, self.client_ip, int(time.time()))
        except GatewayError as error:
            self.send_json(error.status, relay_error(error, self.request_id))
            return None

    def options(self, *_: str) -> None:
        """Answer a preflight."""
        preflight(self)

    def get(self, *_: str) -> Awaitable[None] | None:
        """A method that the route does not have."""
        self.not_found()
        return None

    head = post = put = delete = patch = get


def relay_error(error: GatewayError, request_id: str) -> Json:
    """One API's error envelope of relay routes."""
    message = f"{error.message} (request id: {request_id})"
    return {"error": {"message": message, "type": error.type, "param": error.param, "code": error.code}}


def preflight(handler: Base) -> None:
    """Allow pages of any origin to call a relay route with their own key, and never with cookies."""
    handler.set_header("Access-Control-Allow-Origin", "*")
    handler.set_header("Access-Control-Allow-Methods", "GET,POST,PUT,DELETE,OPTIONS")
    handler.set_header("Access-Control-Allow-Headers", "*")
    handler.set_header("Access-Control-Max-Age", "43200")
    handler.set_status(204)
    handler.clear_header("Content-Type")
    handler.finish()
