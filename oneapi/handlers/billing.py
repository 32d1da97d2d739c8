"""What a client's "balance" button asks for, in the form of OpenAI's old billing endpoints."""

from oneapi.handlers.encode import number
from oneapi.handlers.token_route import TokenRoute
from oneapi.store.index import TokenEntry
from oneapi.wire import Json

# What One API shows for a token without a limit.
UNLIMITED = 100_000_000


class Billing(TokenRoute):
    """An answer for the token of the Authorization header."""

    compresses = True

    async def get(self, *_: str) -> None:
        """Answer for a token that works."""
        if not self.admitted(self.services.api_limit):
            return
        caller = self.caller()
        if caller is not None:
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
