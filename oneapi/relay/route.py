"""Which channels to try, in order: by group and model, best priority first, weighted random among equals."""

import random
from collections.abc import Iterator

from oneapi.errors import ClientError, NoChannelError, PermissionDeniedError
from oneapi.store.index import Index
from oneapi.store.records import STATUS_ENABLED
from oneapi.wire import Channel


class Cooldowns:
    """Channels that failed lately and are left out while others can serve. Times are monotonic."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}

    def rest(self, channel_id: int, until: float) -> None:
        """Leave ``channel_id`` out until then."""
        self._until[channel_id] = until

    def wake(self, channel_id: int) -> None:
        """The channel has just served: it is well again."""
        if self._until:
            self._until.pop(channel_id, None)

    def resting(self, channel_id: int, now: float) -> bool:
        """Whether the channel is to be left out now."""
        if not self._until:
            return False
        until = self._until.get(channel_id)
        if until is None:
            return False
        if until <= now:
            del self._until[channel_id]
            return False
        return True


class Router:
    """Answers "which channel" from the index. Each channel is yielded at most once per exchange."""

    def __init__(self, index: Index, cooldowns: Cooldowns) -> None:
        self._index = index
        self._cooldowns = cooldowns
        self._random = random.Random()  # noqa: S311  load spreading, not a secret

    def candidates(self, group: str, model: str, now: float) -> Iterator[Channel]:
        """Channels to try, best first, those at rest last. Raises NoChannelError when there is none."""
        tiers = self._index.routes.get(group, {}).get(model)
        if not tiers:
            raise NoChannelError(f"当前分组 {group} 下对于模型 {model} 无可用渠道")
        if len(tiers) == 1 and len(tiers[0]) == 1:
            return iter(tiers[0])
        return self._ordered(tiers, now)

    def pinned(self, channel_id: int) -> Channel:
        """The channel that the caller named. Raises ClientError or PermissionDeniedError."""
        channel = self._index.channels.get(channel_id)
        if channel is None:
            raise ClientError("无效的渠道 Id", code="invalid_channel_id")
        if channel.status != STATUS_ENABLED:
            raise PermissionDeniedError("该渠道已被禁用", code="channel_disabled")
        return channel

    def _ordered(self, tiers: tuple[tuple[Channel, ...], ...], now: float) -> Iterator[Channel]:
        resting: list[Channel] = []
        for tier in tiers:
            for channel in self._shuffled(tier):
                if self._cooldowns.resting(channel.id, now):
                    resting.append(channel)
                else:
                    yield channel
        yield from resting

    def _shuffled(self, tier: tuple[Channel, ...]) -> Iterator[Channel]:
        left = list(tier)
        while len(left) > 1:
            weights = [max(channel.weight, 1) for channel in left]
            (chosen,) = self._random.choices(range(len(left)), weights)
            yield left.pop(chosen)
        yield left[0]
