"""Channels and the abilities derived from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from oneapi.store import models
from oneapi.store.db import execute, rows, starts_with
from oneapi.store.models import new_row
from oneapi.store.records import CHANNEL_AUTO_DISABLED, STATUS_DISABLED, ChannelRow
from oneapi.store.routing import rebuild_abilities
from oneapi.store.users import as_id

if TYPE_CHECKING:
    from oneapi.store.store import Store

_CHANNEL = models.Channels
_ABILITY_COLUMNS = {"group", "models", "status", "priority"}
_CHUNK = 500  # ids in one statement


class Channels:
    """Queries and changes of ``channels``. Abilities and the index follow every change at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last_id = 0

    def start_after(self, channel_id: int) -> None:
        """Give new channels ids above ``channel_id``: the log still names deleted ones by their id."""
        self._last_id = channel_id

    async def page(self, *, offset: int, limit: int) -> list[ChannelRow]:
        """By id, descending."""
        return await self._store.read(
            _channels, _CHANNEL.select().order_by(_CHANNEL.id.desc()).limit(limit).offset(offset)
        )

    async def search(self, keyword: str) -> list[ChannelRow]:
        """By id, or prefix of the name; by id."""
        found = starts_with(_CHANNEL.name, keyword)
        if (number := as_id(keyword)) is not None:
            found |= _CHANNEL.id == number
        return await self._store.read(_channels, _CHANNEL.select().where(found).order_by(_CHANNEL.id))

    async def get(self, channel_id: int) -> ChannelRow | None:
        """One channel."""
        return await self._store.read(_get, channel_id)

    async def insert(self, channels: Sequence[Mapping[str, Any]]) -> list[ChannelRow]:
        """Store new channels in one transaction; absent columns get the defaults of the contract."""
        numbered = []
        for channel in channels:
            self._last_id += 1
            numbered.append({**channel, "id": self._last_id})
        return await self._store.submit(partial(_insert, numbered), applied=self._store.index.put_channels)

    async def update(self, channel_id: int, changes: Mapping[str, Any]) -> ChannelRow | None:
        """Write exactly the named columns and rebuild the abilities. None when there is no such channel."""
        return await self._store.submit(partial(_update, channel_id, changes), applied=self._updated)

    async def set_status(self, channel_id: int, status: int) -> None:
        """Switch a channel and its abilities on or off."""
        await self.update(channel_id, {"status": status})

    async def delete(self, channel_id: int) -> bool:
        """Whether there was such a channel. Its abilities go too."""
        return bool(await self._delete(partial(_existing, _CHANNEL.id == channel_id)))

    async def delete_disabled(self) -> int:
        """Delete all channels of status 2 and 3; how many."""
        return await self._delete(
            partial(_existing, _CHANNEL.status.in_((STATUS_DISABLED, CHANNEL_AUTO_DISABLED)))
        )

    def model_names(self, group: str) -> list[str]:
        """Distinct models with an enabled channel for ``group``, sorted; from the index."""
        return sorted(self._store.index.routes.get(group, {}))

    async def _delete(self, find: partial[list[int]]) -> int:
        deleted = await self._store.submit(partial(_delete, find), applied=self._store.index.drop_channels)
        return len(deleted)

    def _updated(self, channel: ChannelRow | None) -> None:
        if channel is not None:
            self._store.index.put_channels([channel])


def _channels(query: Any) -> list[ChannelRow]:
    return [models.channel(row) for row in rows(query)]


def _get(channel_id: int) -> ChannelRow | None:
    found = _channels(_CHANNEL.select().where(_CHANNEL.id == channel_id))
    return found[0] if found else None


def _insert(channels: Sequence[Mapping[str, Any]]) -> list[ChannelRow]:
    for channel in channels:
        execute(_CHANNEL.insert(new_row(_CHANNEL, ChannelRow, channel)))
    stored: list[ChannelRow] = []
    for ids in _chunks([channel["id"] for channel in channels]):
        rebuild_abilities(ids)
        stored += _channels(_CHANNEL.select().where(_CHANNEL.id.in_(ids)).order_by(_CHANNEL.id))
    return stored


def _update(channel_id: int, changes: Mapping[str, Any]) -> ChannelRow | None:
    if changes:
        execute(_CHANNEL.update(dict(changes)).where(_CHANNEL.id == channel_id))
    channel = _get(channel_id)
    if channel is not None and not _ABILITY_COLUMNS.isdisjoint(changes):
        rebuild_abilities([channel_id])
    return channel


def _existing(condition: Any) -> list[int]:
    return [channel_id for (channel_id,) in rows(_CHANNEL.select(_CHANNEL.id).where(condition))]


def _delete(find: partial[list[int]]) -> list[int]:
    found = find()
    for ids in _chunks(found):
        execute(_CHANNEL.delete().where(_CHANNEL.id.in_(ids)))
        execute(models.Abilities.delete().where(models.Abilities.channel_id.in_(ids)))
    return found


def _chunks(ids: list[int]) -> list[list[int]]:
    return [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]
