"""What an exchange will cost at most, and what it has cost: hold, charge and log row."""

import time
from dataclasses import dataclass
from typing import Any

from oneapi import resources, tasks
from oneapi.billing import estimate, ratio
from oneapi.billing.ledger import Hold, Ledger
from oneapi.billing.ratio import Price, Prices
from oneapi.providers.text import message_text
from oneapi.relay.delivery import Delivery
from oneapi.relay.edit import resets_prompt
from oneapi.relay.exchange import Demand, Inbound
from oneapi.store.index import TokenEntry
from oneapi.store.options import Options, RelayOptions
from oneapi.store.records import LOG_CONSUME, Log
from oneapi.store.store import Store
from oneapi.wire import Call, Mode, Reply, Usage

_IMAGE_MODES = (Mode.IMAGES, Mode.IMAGE_EDITS)
_HEARD_MODES = (Mode.TRANSCRIPTION, Mode.TRANSLATION)
_TEXT_MODES = (Mode.CHAT, Mode.EMBEDDINGS, Mode.COMPLETIONS, Mode.MODERATIONS, Mode.EDITS)
# Billed under the name that One API bills them by when the client named none.
_BILLED_MODEL = {"text-moderation-stable": "text-moderation-latest"}


@dataclass(slots=True)
class Bill:
    """One attempt, priced."""

    token: TokenEntry
    demand: Demand
    call: Call
    inbound: Inbound
    price: Price
    is_text: bool  # else pictures or sound, whose free requests leave no log row
    units_to_hold: int


class Bills:
    """Opens and settles bills by the prices in force."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._ledger = ledger
        self._defaults = ratio.parse_defaults(resources.read("oneapi/data/ratios.json"))
        self._options: RelayOptions = store.options.relay
        self._tables: tuple[str, str, str] | None = None
        self._prices = Prices(self._defaults)
        store.options.subscribe(self._changed)

    def open(self, token: TokenEntry, demand: Demand, call: Call, inbound: Inbound) -> Bill:
        """The bill of an attempt. Raises ClientError when the price list does not know such an order."""
        price = self._prices.price(call.model, call.channel.type, token.user.group)
        if call.mode in _TEXT_MODES:
            body = call.body or {}
            tokens = estimate.request_ceiling(demand.raw, body, call.model) + estimate.most_output(body)
            units = ratio.text_hold(price, self._options.pre_consumed_quota + tokens)
            return Bill(token, demand, call, inbound, price, True, units)  # noqa: FBT003  a field
        return Bill(token, demand, call, inbound, price, False, self._media_units(demand, call, price))  # noqa: FBT003

    def settle(self, bill: Bill, hold: Hold, delivery: Delivery) -> None:
        """Charge what was delivered, exactly once: now, or when the tokens have been counted."""
        mode = bill.call.mode
        if not bill.is_text and mode not in _HEARD_MODES:
            self._charge(bill, hold, self._media_units(bill.demand, bill.call, bill.price), Usage())
        elif delivery.usage is not None:
            self._charge(bill, hold, ratio.text_cost(bill.price, delivery.usage), delivery.usage)
        else:
            # The client has its answer; counting takes milliseconds and does not belong on the loop.
            tasks.spawn(self._count(bill, hold, delivery), name="count tokens")

    def _changed(self, options: Options) -> None:
        now = self._options = options.relay
        tables = (now.model_ratio, now.completion_ratio, now.group_ratio)
        if tables != self._tables:
            self._tables = tables
            self._prices = Prices(self._defaults, model=tables[0], completion=tables[1], group=tables[2])

    def _media_units(self, demand: Demand, call: Call, price: Price) -> int:
        """What pictures and speech cost, known beforehand; what to reserve for a transcription."""
        if call.mode in _HEARD_MODES:
            return ratio.text_hold(price, self._options.pre_consumed_quota)
        if call.mode is Mode.SPEECH:
            return ratio.speech_cost(price, (call.body or {}).get("input") or "")
        order = _image_order(demand)
        if call.mode is Mode.IMAGES:
            ratio.check_image(self._prices.images, call.model, order)
        return ratio.image_cost(price, self._prices.images, call.model, order, channel_type=call.channel.type)

    async def _count(self, bill: Bill, hold: Hold, delivery: Delivery) -> None:
        usage: Usage | None = None
        try:
            approximate = self._options.approximate_tokens
            usage = await tasks.run_blocking(counted, bill.call, delivery, approximate=approximate)
        finally:
            if usage is None:
                # The count failed, or the program is stopping: what was delivered is paid by its size.
                usage = counted(bill.call, delivery, approximate=True)
            if bill.call.mode in _HEARD_MODES:
                quota = ratio.transcription_cost(bill.price, usage.completion_tokens)
            else:
                quota = ratio.text_cost(bill.price, usage)
            self._charge(bill, hold, quota, usage)

    def _charge(self, bill: Bill, hold: Hold, quota: int, usage: Usage) -> None:
        now = int(time.time())
        log = None
        if self._options.log_consume and (quota or bill.is_text):
            log = _log_row(bill, quota, usage, now)
        self._ledger.settle(hold, quota, channel_id=bill.call.channel.id, settled_at=now, log=log)


def counted(call: Call, delivery: Delivery, *, approximate: bool) -> Usage:
    """Tokens of an exchange whose upstream named no usage. Takes milliseconds: not for the event loop."""
    prompt = 0
    if call.body is not None:
        prompt = estimate.count_prompt(call.mode, call.body, call.model, approximate=approximate)
    text = delivery.text() if delivery.reply is None else _reply_text(call, delivery.reply)
    produced = estimate.count_text(text, call.model, approximate=approximate)
    produced += int(delivery.overflow_bytes * estimate.TOKENS_PER_BYTE)
    return Usage(input_uncached=prompt, output_text=produced, estimated=True)


def _reply_text(call: Call, reply: Reply) -> str:
    data = reply.data
    if call.mode in _HEARD_MODES:
        if data is not None:
            return data["text"] if isinstance(data.get("text"), str) else ""
        return _spoken(reply.body.decode("utf-8", "replace"))
    choices: Any = (data or {}).get("choices")
    if not isinstance(choices, list):
        return ""
    return "".join(message_text(choice) for choice in choices if isinstance(choice, dict))


def _spoken(transcript: str) -> str:
    """A transcript without the numbers and times of subtitles (SRT, WebVTT)."""
    lines = (line.strip() for line in transcript.splitlines())
    return "\n".join(
        line for line in lines if line and "-->" not in line and line != "WEBVTT" and not line.isdigit()
    )


def _image_order(demand: Demand) -> ratio.ImageOrder:
    if demand.body is not None:
        return ratio.image_order(demand.body)
    form = demand.form
    count = form.get("n", "")
    return ratio.image_order(
        {
            "prompt": form.get("prompt"),
            "size": form.get("size"),
            "quality": form.get("quality"),
            "n": int(count) if count.isascii() and count.isdigit() else None,
        }
    )


def _log_row(bill: Bill, quota: int, usage: Usage, now: int) -> Log:
    call, token = bill.call, bill.token
    price, is_text = bill.price, bill.is_text
    prompt_tokens = usage.prompt_tokens
    if not is_text and call.mode not in _IMAGE_MODES:
        prompt_tokens = quota  # One API writes an audio request's charge where tokens stand
    # By position: naming sixteen fields costs more than filling them. The order is that of the columns.
    return Log(
        0,  # the database gives the id
        token.user.id,
        now,
        LOG_CONSUME,
        price.text_note if is_text else price.media_note,
        token.user.username,
        token.name,
        _BILLED_MODEL.get(call.model, call.model),
        quota,
        prompt_tokens,
        usage.completion_tokens if is_text else 0,
        call.channel.id,
        call.id,
        int((time.monotonic() - bill.inbound.started) * 1000),
        call.stream,
        resets_prompt(call.channel, bill.demand),
    )
