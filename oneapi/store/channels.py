"""Channels and the abilities derived from them."""

from collections.abc import Mapping, Sequence
from typing import Any

from oneapi.store.records import ChannelRow


class Channels:
    """Queries and changes of ``channels``. Abilities and the index follow every change at once."""

    async def page(self, *, offset: int, limit: int) -> list[ChannelRow]:
        """By id, descending."""
        raise NotImplementedError

    async def search(self, keyword: str) -> list[ChannelRow]:
        """By id, or prefix of the name."""
        raise NotImplementedError

    async def get(self, channel_id: int) -> ChannelRow | None:
        """One channel."""
        raise NotImplementedError

    async def insert(self, channels: Sequence[Mapping[str, Any]]) -> list[ChannelRow]:
        """Store new channels in one transaction; absent columns get the defaults of the contract."""
        raise NotImplementedError

    async def update(self, channel_id: int, changes: Mapping[str, Any]) -> ChannelRow | None:
        """Write exactly the named columns and rebuild the abilities. None when there is no such channel."""
        raise NotImplementedError

    async def set_status(self, channel_id: int, status: int) -> None:
        """Switch a channel and its abilities on or off."""
        raise NotImplementedError

    async def delete(self, channel_id: int) -> bool:
        """Whether there was such a channel. Its abilities go too."""
        raise NotImplementedError

    async def delete_disabled(self) -> int:
        """Delete all channels of status 2 and 3; how many."""
        raise NotImplementedError

    def model_names(self, group: str) -> list[str]:
        """Distinct models with an enabled channel for ``group``, sorted; from the index."""
        raise NotImplementedError
