"""Which channel serves which model for which group: parsed channels, tiers, the table ``abilities``."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeAlias

import orjson

from oneapi.store import models
from oneapi.store.db import execute, rows
from oneapi.store.records import STATUS_ENABLED, ChannelRow
from oneapi.wire import Channel

Tiers: TypeAlias = tuple[tuple[Channel, ...], ...]  # best priority first
_priority = attrgetter("priority")

# Before there was ``config``, these types kept one setting in ``other``.
_LEGACY_SETTING = {3: "api_version", 17: "plugin", 18: "api_version", 21: "library_id", 24: "api_version"}


def parsed(row: ChannelRow) -> Channel:
    """The channel as the relay needs it. Invalid JSON in ``model_mapping`` or ``config`` counts as none."""
    settings = _strings(row.config)
    legacy = _LEGACY_SETTING.get(row.type)
    if legacy and row.other and not settings.get(legacy):
        settings[legacy] = row.other
    return Channel(
        id=row.id,
        type=row.type,
        name=row.name,
        status=row.status,
        key=row.key,
        base_url=row.base_url or "",
        models=listed(row.models),
        groups=listed(row.group),
        mapping={model: target for model, target in _strings(row.model_mapping).items() if target},
        priority=row.priority or 0,
        weight=row.weight or 0,
        settings=settings,
        system_prompt=row.system_prompt or "",
    )


def listed(text: str | None) -> tuple[str, ...]:
    """The distinct names in a comma list, trimmed, in order."""
    if not text:
        return ()
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


def tiers(channels: Iterable[Channel]) -> Tiers:
    """``channels`` by priority; inside a tier they keep their order."""
    return _cut(sorted(channels, key=_priority, reverse=True))


def routes(channels: Iterable[Channel]) -> dict[str, dict[str, Tiers]]:
    """Group -> model -> tiers of the enabled ones of ``channels``."""
    members: dict[str, dict[str, list[Channel]]] = {}
    for channel in sorted(channels, key=_priority, reverse=True):
        if channel.status != STATUS_ENABLED:
            continue
        for group in channel.groups:
            by_model = members.setdefault(group, {})
            for model in channel.models:
                serving = by_model.get(model)
                if serving is None:
                    by_model[model] = [channel]
                else:
                    serving.append(channel)
    return {
        group: {model: _cut(serving) for model, serving in by_model.items()}
        for group, by_model in members.items()
        if by_model
    }


def pairs(channel: Channel | None) -> Iterator[tuple[str, str]]:
    """The groups and models that ``channel`` serves; none when it is not enabled."""
    if channel is not None and channel.status == STATUS_ENABLED:
        for group in channel.groups:
            for model in channel.models:
                yield group, model


def rebuild_abilities(channel_ids: Sequence[int] | None = None) -> None:
    """Make the abilities of these channels (None: of all) what the channels say. In the writer's thread."""
    found, ability = models.Channels.select(), models.Abilities
    stale = ability.delete()
    if channel_ids is not None:
        found = found.where(models.Channels.id.in_(channel_ids))
        stale = stale.where(ability.channel_id.in_(channel_ids))
    execute(stale)
    for row in rows(found):
        channel = parsed(models.channel(row))
        new = _abilities(channel)
        for start in range(0, len(new), 100):
            execute(ability.insert_many(new[start : start + 100]))


def _abilities(channel: Channel) -> list[dict[str, Any]]:
    return [
        {
            "group": group,
            "model": model,
            "channel_id": channel.id,
            "enabled": channel.status == STATUS_ENABLED,
            "priority": channel.priority,
        }
        for model in channel.models
        for group in channel.groups
    ]


def _cut(ordered: list[Channel]) -> Tiers:
    if ordered[0].priority == ordered[-1].priority:
        return (tuple(ordered),)
    return tuple(tuple(tier) for _, tier in groupby(ordered, _priority))


def _strings(text: str | None) -> dict[str, str]:
    """The string members of a JSON object."""
    if not text:
        return {}
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)}
