"""Channels: upstream accounts. Their keys go in and never come out again."""

import logging
import time
from typing import Any

from oneapi import tasks
from oneapi.errors import GatewayError
from oneapi.handlers.base import Api, Refusal, done
from oneapi.handlers.context import Context
from oneapi.handlers.encode import channel_json, number
from oneapi.handlers.fields import integer, natural, text
from oneapi.providers import catalogue
from oneapi.providers.balances import QUESTIONS
from oneapi.store.records import STATUS_ENABLED
from oneapi.wire import Json

log = logging.getLogger(__name__)

# Fields that are nullable are written whenever they are there; the others keep their value for 0 and "", but
# the name and the models of a channel may be emptied.
_NULLABLE = {
    "weight": natural,
    "base_url": text,
    "other": text,
    "model_mapping": text,
    "priority": integer,
    "system_prompt": text,
}
_PLAIN = {
    "type": integer,
    "key": text,
    "status": integer,
    "name": text,
    "models": text,
    "group": text,
    "config": text,
}
_FIELDS = {**_PLAIN, **_NULLABLE}
_WRITTEN_WHEN_EMPTY = {*_NULLABLE, "name", "models"}


async def page(api: Api) -> Json:
    """All channels."""
    offset, limit = api.page()
    channels = await api.store.channels.page(offset=offset, limit=limit)
    total = len(api.store.index.channels)
    return api.listing([channel_json(channel) for channel in channels], total=total)


async def search(api: Api) -> Json:
    """Channels by id, or by the beginning of their name."""
    return done([channel_json(channel) for channel in await api.store.channels.search(api.query("keyword"))])


async def models(api: Api) -> Json:
    """The built-in models as OpenAI's list, without the envelope."""
    del api
    return {"object": "list", "data": catalogue.ENTRIES}


async def get(api: Api) -> Json:
    """One channel."""
    channel = await api.store.channels.get(api.path_id())
    if channel is None:
        raise Refusal("record not found")
    return done(channel_json(channel))


async def create(api: Api) -> Json:
    """One channel for each line of ``key``, alike but for the key."""
    body = api.body(_FIELDS)
    keys = [line.strip() for line in body.pop("key", "").split("\n")]
    channels = [{**body, "key": key, "created_time": int(time.time())} for key in keys if key]
    if not channels:
        raise Refusal("渠道密钥为空 (the channel has no key)")
    await api.store.channels.insert(channels)
    return done()


async def update(api: Api) -> Json:
    """Change the fields that the body has."""
    body = api.body({"id": integer, **_FIELDS})
    channel_id = body.pop("id", 0)
    if not channel_id:
        raise Refusal(_NO_ID)
    changes: dict[str, Any] = {
        name: value for name, value in body.items() if value or name in _WRITTEN_WHEN_EMPTY
    }
    channel = await api.store.channels.update(channel_id, changes)
    if channel is None:
        raise Refusal("record not found")
    return done(channel_json(channel))


async def delete(api: Api) -> Json:
    """Delete a channel; one that is not there is no error."""
    channel_id = api.path_id_or_0()
    if not channel_id:
        raise Refusal(_NO_ID)
    await api.store.channels.delete(channel_id)
    return done()


async def delete_disabled(api: Api) -> Json:
    """Delete all channels that are switched off, by hand or automatically."""
    return done(await api.store.channels.delete_disabled())


async def test(api: Api) -> Json:
    """Test one channel with a small real request."""
    model = api.query("model")
    result = await api.services.tests.one(api.path_id(), model, api.request_id)
    if result is None:
        raise Refusal("record not found")
    return {
        "message": result.message,
        "modelName": model,
        "success": result.ok,
        "time": result.elapsed_s if result.ok else 0,
    }


async def test_all(api: Api) -> Json:
    """Test all channels, or only the disabled ones, in the background."""
    scope = api.query("scope") or "all"
    if scope not in ("all", "disabled"):
        raise Refusal("scope: all | disabled")
    if not api.services.tests.start(only_disabled=scope == "disabled"):
        raise Refusal("测试已在运行中")
    return done()


async def update_balance(api: Api) -> Json:
    """Ask a channel's account how much money is left, and keep the answer."""
    channel = api.store.index.channels.get(api.path_id())
    if channel is None:
        raise Refusal("record not found")
    balance = await api.services.context.balances.ask(channel)
    changes = {"balance": balance, "balance_updated_time": int(time.time())}
    await api.store.channels.update(channel.id, changes)
    return done(balance=number(balance))


async def update_balances(api: Api) -> Json:
    """Ask all enabled channels whose type tells, in the background."""
    tasks.spawn(_update_all(api.services.context), name="update balances")
    return done()


async def _update_all(context: Context) -> None:
    for channel in sorted(context.store.index.channels.values(), key=lambda channel: channel.id):
        if channel.status != STATUS_ENABLED or channel.type not in QUESTIONS:
            continue
        try:
            balance = await context.balances.ask(channel)
        except GatewayError as error:
            log.info("no balance channel_id=%d reason=%s", channel.id, error.message)
            continue
        changes = {"balance": balance, "balance_updated_time": int(time.time())}
        await context.store.channels.update(channel.id, changes)


_NO_ID = "缺少渠道 id (the channel's id is missing)"
