"""Who may spend what: hold before an exchange, settle once after it.

Balances are integers in ``store.index`` and belong to the event loop, so checking and reserving is one
synchronous step that nothing can come between. A settlement cannot fail: it may take a balance below zero by
no more than what the exchanges in flight cost beyond their holds; the next request is then refused.
"""

from dataclasses import dataclass

from oneapi.errors import InsufficientQuotaError
from oneapi.store.index import TokenEntry
from oneapi.store.records import Log, Settlement
from oneapi.store.store import Store


@dataclass(slots=True)
class Hold:
    """``units`` of quota reserved for one exchange, until it is settled or cancelled."""

    token: TokenEntry
    units: int
    open: bool = True


class Ledger:
    """The only code that reserves and charges quota. Used by the event loop's thread alone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.open_holds = 0

    def hold(self, token: TokenEntry, units: int) -> Hold:
        """Reserve ``units`` of the token and of its user.

        Raises InsufficientQuotaError, with the purse that is short, before anything is reserved.
        """
        user = token.user
        if user.quota - user.held < units:
            raise InsufficientQuotaError("user quota is not enough", code="insufficient_user_quota")
        if not token.unlimited and token.remain - token.held < units:
            raise InsufficientQuotaError("令牌额度不足", code="pre_consume_token_quota_failed")
        user.held += units
        token.held += units
        self.open_holds += 1
        return Hold(token, units)

    def settle(self, hold: Hold, quota: int, *, channel_id: int, settled_at: int, log: Log | None) -> None:
        """Replace the hold by its real cost: in memory now, in the database with the next group commit.

        ``log`` is None when consume logs are switched off. Raises RuntimeError when the hold is not open any
        more: a second charge would be a lost unit.
        """
        self._close(hold)
        token = hold.token
        user = token.user
        user.quota -= quota
        token.used += quota
        if not token.unlimited:
            token.remain -= quota
        self._store.settle(
            Settlement(user.id, token.id, token.unlimited, channel_id, quota, 1, settled_at, log)
        )

    def cancel(self, hold: Hold) -> None:
        """Give back a hold for which nothing was delivered. Raises RuntimeError when it is not open."""
        self._close(hold)

    def _close(self, hold: Hold) -> None:
        if not hold.open:
            raise RuntimeError("a hold was settled twice")
        hold.open = False
        hold.token.held -= hold.units
        hold.token.user.held -= hold.units
        self.open_holds -= 1
