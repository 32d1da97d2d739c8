"""What a client's "balance" button asks for, in the form of OpenAI's old billing endpoints."""

import time

from oneapi.errors import GatewayError
from oneapi.handlers.base import Base, Services
from oneapi.handlers.encode import number
from oneapi.relay import auth
from oneapi.store.index import TokenEntry
from oneapi.wire import Json

# What One API shows for a token without a limit.
UNLIMITED = 100_000_000


class Billing(Base):
    """An answer for the token of the Authorization header; any page may ask with its own key."""

    def initialize(self, services: Services) -> None:
        """Take over what ``routes`` gave."""
        self.services = services

    def set_default_headers(self) -> None:
        """Let pages of any origin read the answer; cookies are never part of it."""
        super().set_default_headers()
        if "Origin" in self.request.headers:
            self.set_header("Access-Control-Allow-Origin", "*")

    async def get(self) -> None:
        """Answer for a token that works."""
        if not self.admitted(self.services.api_limit):
            return
        store = self.services.context.store
        header = self.request.headers.get("Authorization", "")
        try:
            caller = auth.authenticate(store, header, self.client_ip, int(time.time()))
        except GatewayError as error:
            self.send_json(error.status, relay_error(error, self.request_id))
            return
        self.send_json(200, await self.answer(caller.token))

    async def answer(self, token: TokenEntry) -> Json:
        """The answer for ``token``."""
        raise NotImplementedError

    async def used(self, token: TokenEntry) -> int:
        """Quota that the token, or its user, has spent."""
        store = self.services.context.store
        if store.options.relay.display_token_stat:
            return token.used
        user = await store.users.get(token.user.id)
        return user.used_quota if user else 0

    def shown(self, quota: float) -> float:
        """``quota`` in dollars or in units, as the administrator wants it shown."""
        options = self.services.context.store.options.relay
        scaled = (
            quota / options.quota_per_unit
            if options.display_in_currency and options.quota_per_unit
            else quota
        )
        return number(float(scaled))

    def options(self) -> None:
        """Answer a preflight."""
        preflight(self)

    def head(self) -> None:
        """HEAD, and the other methods, are not served."""
        self.not_found()

    post = put = delete = patch = head


class Subscription(Billing):
    """The whole quota: what is left and what is used."""

    async def answer(self, token: TokenEntry) -> Json:
        """One API's shape; all three limits are the same."""
        expires = 0
        if self.services.context.store.options.relay.display_token_stat:
            remaining = token.remain
            expires = max(token.expired_time, 0)
            limit = UNLIMITED if token.unlimited else self.shown(remaining + await self.used(token))
        else:
            limit = self.shown(token.user.quota + await self.used(token))
        return {
            "object": "billing_subscription",
            "has_payment_method": True,
            "soft_limit_usd": limit,
            "hard_limit_usd": limit,
            "system_hard_limit_usd": limit,
            "access_until": expires,
        }


class Usage(Billing):
    """What is used, in cents."""

    async def answer(self, token: TokenEntry) -> Json:
        """One API's shape."""
        return {"object": "list", "total_usage": number(float(self.shown(await self.used(token)) * 100))}


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
