"""The log: for administrators all of it, for users their own rows."""

from oneapi.handlers.base import Api, Refusal, done
from oneapi.handlers.encode import log_json
from oneapi.store.logs import LogFilter
from oneapi.wire import Json


def _filter(api: Api, *, user_id: int = 0, username: str = "", channel: int = 0) -> LogFilter:
    return LogFilter(
        user_id=user_id,
        type=api.query_number("type"),
        start=api.query_number("start_timestamp"),
        end=api.query_number("end_timestamp"),
        username=username,
        token_name=api.query("token_name"),
        model_name=api.query("model_name"),
        channel=channel,
    )


def _any(api: Api) -> LogFilter:
    return _filter(api, username=api.query("username"), channel=api.query_number("channel"))


async def page(api: Api) -> Json:
    """Rows of everybody."""
    offset, limit = api.page()
    rows = await api.store.logs.page(_any(api), offset=offset, limit=limit)
    return api.listing([log_json(row) for row in rows])


async def own_page(api: Api) -> Json:
    """The caller's rows."""
    offset, limit = api.page()
    which = _filter(api, user_id=api.user.id)
    rows = await api.store.logs.page(which, offset=offset, limit=limit)
    return api.listing([log_json(row) for row in rows])


async def search(api: Api) -> Json:
    """Rows of everybody by type, or by the beginning of their text."""
    return done([log_json(row) for row in await api.store.logs.search(api.query("keyword"))])


async def own_search(api: Api) -> Json:
    """The caller's rows by type, or by the beginning of their text."""
    rows = await api.store.logs.search(api.query("keyword"), user_id=api.user.id)
    return done([log_json(row) for row in rows])


async def total(api: Api) -> Json:
    """What everybody's use has cost."""
    return done({"quota": await api.store.logs.quota_sum(_any(api))})


async def own_total(api: Api) -> Json:
    """What the caller's use has cost."""
    which = _filter(api, user_id=api.user.id, channel=api.query_number("channel"))
    return done({"quota": await api.store.logs.quota_sum(which)})


async def delete(api: Api) -> Json:
    """Delete rows older than a time."""
    before = api.query_number("target_timestamp")
    if not before:
        raise Refusal("target timestamp is required")
    return done(await api.store.logs.delete_before(before))
