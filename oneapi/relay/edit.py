"""From what the client sent to what the provider is given: the client's JSON is edited, never re-typed.

Without a reason to edit, the client's own bytes go to the upstream.
"""

from dataclasses import replace
from typing import Any

from oneapi.providers.base import Provider
from oneapi.relay.exchange import Demand, Inbound
from oneapi.wire import Call, Channel, Json, Mode

_TEXT_STREAMS = (Mode.CHAT, Mode.COMPLETIONS)


def edited_call(  # noqa: PLR0913  the sixth is a flag by name
    inbound: Inbound, demand: Demand, channel: Channel, provider: Provider, now: int, *, enforce_usage: bool
) -> Call:
    """The call for one attempt on ``channel``. The demand stays as it is, for the next attempt.

    A stream asks for its usage where the vendor knows how (``enforce_usage``: everywhere): the bill needs it,
    the client need not have asked.
    """
    model = channel.mapping.get(demand.model, demand.model)
    raw: bytes | None = demand.raw
    body = demand.body
    if body is None:
        if model != demand.model:
            raw = _renamed_form(demand, model)
    elif model != demand.model or channel.system_prompt:
        edits = _edits(body, demand, channel, model)
        if edits:
            body, raw = {**body, **edits}, None
    call = Call(
        demand.mode,
        channel,
        inbound.path,
        inbound.query,
        model,
        body,
        raw,
        demand.content_type,
        inbound.headers.get("accept", ""),
        demand.stream,
        inbound.headers,
        now,
        inbound.request_id,
    )
    if body is None or not demand.stream or demand.mode not in _TEXT_STREAMS:
        return call
    if enforce_usage or provider.asks_usage(call):
        options = {**(body.get("stream_options") or {}), "include_usage": True}
        return replace(call, body={**body, "stream_options": options}, raw=None)
    return call


def resets_prompt(channel: Channel, demand: Demand) -> bool:
    """Whether the channel's own system prompt goes in place of the client's."""
    return bool(channel.system_prompt) and demand.mode is Mode.CHAT


def _edits(body: Json, demand: Demand, channel: Channel, model: str) -> Json:
    edits: Json = {}
    if model != demand.model:
        edits["model"] = model
    if resets_prompt(channel, demand):
        edits["messages"] = _with_prompt(body["messages"], channel.system_prompt)
    return edits


def _with_prompt(messages: list[Any], prompt: str) -> list[Any]:
    first = messages[0]
    if first.get("role") == "system":
        return [{**first, "content": prompt}, *messages[1:]]
    return [{"role": "system", "content": prompt}, *messages]


def _renamed_form(demand: Demand, model: str) -> bytes:
    if demand.model_span is None:
        return demand.raw
    start, end = demand.model_span
    return demand.raw[:start] + model.encode() + demand.raw[end:]
