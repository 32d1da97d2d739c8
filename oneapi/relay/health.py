"""What failures and successes mean for a channel: a pause, or the end until a person looks at it."""

import logging
import time

from oneapi import tasks
from oneapi.errors import UpstreamError
from oneapi.relay.retry import verdict
from oneapi.relay.route import Cooldowns
from oneapi.store.records import CHANNEL_AUTO_DISABLED
from oneapi.store.store import Store
from oneapi.wire import Channel

log = logging.getLogger(__name__)


class Health:
    """Keeps the cool-downs and disables channels when the operator allows it."""

    def __init__(self, store: Store) -> None:
        self.cooldowns = Cooldowns()
        self._store = store
        self._disabling: set[int] = set()

    def served(self, channel: Channel) -> None:
        """The channel has answered."""
        self.cooldowns.wake(channel.id)

    def failed(self, channel: Channel, failure: UpstreamError) -> bool:
        """Note a failed attempt; whether another channel may be tried."""
        outcome = verdict(failure)
        # What only the request is to blame for is no reason to look at the channel.
        level = logging.WARNING if outcome.retry else logging.INFO
        kind, status = failure.failure.value, failure.upstream_status
        log.log(level, "attempt failed channel_id=%d class=%s status=%d", channel.id, kind, status)
        if outcome.cooldown_s:
            self.cooldowns.rest(channel.id, time.monotonic() + outcome.cooldown_s)
        if outcome.disable and self._store.options.relay.automatic_disable:
            self._disable(channel, failure)
        return outcome.retry

    def _disable(self, channel: Channel, failure: UpstreamError) -> None:
        if channel.id in self._disabling:
            return
        self._disabling.add(channel.id)
        log.error("channel disabled channel_id=%d class=%s", channel.id, failure.failure.value)
        tasks.spawn(self._switch_off(channel.id), name="disable channel")

    async def _switch_off(self, channel_id: int) -> None:
        try:
            await self._store.channels.set_status(channel_id, CHANNEL_AUTO_DISABLED)
        finally:
            self._disabling.discard(channel_id)
