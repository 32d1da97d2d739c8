"""Prices: One API's ratio tables, and what a request costs by them. Pure.

All sums are made of floats in One API's order, so that a bill is the same to the unit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from oneapi.errors import ClientError
from oneapi.wire import Json, Usage

RatioMap = Mapping[str, float]

# Names come from channels and mappings; the bound is for the day when somebody changes them without end.
MOST_REMEMBERED = 20_000
# An image costs its ratio times a thousand tokens.
IMAGE_TOKENS = 1000
HIGHEST_RATIO = 1e12  # beyond it a bill would not fit into the database's integers
REPLICATE = 46  # this channel type makes one image whatever ``n`` says
MAX_SPEECH_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs a group: ``ratio`` units per input token, times ``completion`` per output token."""

    model: float
    group: float
    completion: float
    ratio: float = field(init=False)  # units per input token
    text_note: str = field(init=False)  # the ``content`` of a text request's log row
    media_note: str = field(init=False)  # and of an image or audio request's

    def __post_init__(self) -> None:
        """Work out once, for all requests, what follows from the three."""
        media_note = f"倍率：{self.model:.2f} × {self.group:.2f}"
        object.__setattr__(self, "ratio", self.model * self.group)
        object.__setattr__(self, "media_note", media_note)
        object.__setattr__(self, "text_note", f"{media_note} × {self.completion:.2f}")


@dataclass(frozen=True, slots=True)
class Rule:
    """A family of models with one completion ratio. Every condition that is there must hold."""

    value: float
    prefix: str = ""
    suffix: str = ""
    names: tuple[str, ...] = ()

    def covers(self, model: str) -> bool:
        """Whether ``model`` belongs to the family."""
        if self.names and model not in self.names:
            return False
        return model.startswith(self.prefix) and model.endswith(self.suffix)


@dataclass(frozen=True, slots=True)
class Defaults:
    """The shipped tables: ``ratios.json``, parsed."""

    model: RatioMap
    completion: RatioMap
    group: RatioMap
    rules: tuple[Rule, ...]
    fallback_model: float
    fallback_completion: float
    fallback_group: float
    images: "ImageTables"


@dataclass(frozen=True, slots=True)
class ImageTables:
    """What image models accept and how their sizes are priced. A model without a table is not checked."""

    size_ratio: Mapping[str, RatioMap]
    count_range: Mapping[str, tuple[int, int]]
    prompt_max_bytes: Mapping[str, int]
    vendor_name: Mapping[str, str]
    hd_model: str
    hd_square: float
    hd_other: float


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """What an image request asks for, with One API's defaults."""

    prompt: str
    count: int
    size: str
    quality: str


def parse_defaults(data: bytes) -> Defaults:
    """The tables in the shipped file."""
    tables = orjson.loads(data)
    image, fallback = tables["image"], tables["fallback"]
    hd = image["hd_multiplier"]
    return Defaults(
        model=tables["model_ratio"],
        completion=tables["completion_ratio"],
        group=tables["group_ratio"],
        rules=tuple(_rule(entry) for entry in tables["completion_ratio_rules"]),
        fallback_model=fallback["model_ratio"],
        fallback_completion=fallback["completion_ratio"],
        fallback_group=fallback["group_ratio"],
        images=ImageTables(
            size_ratio=image["size_ratio"],
            count_range={model: (low, high) for model, (low, high) in image["n_range"].items()},
            prompt_max_bytes=image["prompt_max_bytes"],
            vendor_name=image["origin_model_name"],
            hd_model=hd["model"],
            hd_square=hd["1024x1024"],
            hd_other=hd["other_sizes"],
        ),
    )


class Prices:
    """All prices in force, built anew when one of the three options changes. "" is one that was never set."""

    def __init__(self, defaults: Defaults, *, model: str = "", completion: str = "", group: str = "") -> None:
        self.images = defaults.images
        self._defaults = defaults
        self._model = _ratio_map(model)
        self._completion = _ratio_map(completion)
        self._group = _ratio_map(group) if group else defaults.group
        self._known: dict[tuple[str, int, str], Price] = {}

    def price(self, model: str, channel_type: int, group: str) -> Price:
        """The price of ``model`` (after mapping) on a channel of that type for a user of ``group``."""
        key = (model, channel_type, group)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            found = self._known[key] = Price(
                self.model_ratio(model, channel_type),
                self.group_ratio(group),
                self.completion_ratio(model, channel_type),
            )
        return found

    def model_ratio(self, model: str, channel_type: int) -> float:
        """The option before the shipped table, ``name(type)`` before ``name``."""
        found = _find(_bare(model), channel_type, self._model, self._defaults.model)
        return self._defaults.fallback_model if found is None else found

    def completion_ratio(self, model: str, channel_type: int) -> float:
        """The same steps, then the families."""
        name = _bare(model)
        found = _find(name, channel_type, self._completion, self._defaults.completion)
        if found is not None:
            return found
        rule = next((rule for rule in self._defaults.rules if rule.covers(name)), None)
        return self._defaults.fallback_completion if rule is None else rule.value

    def group_ratio(self, group: str) -> float:
        """1 for a group that the option does not name."""
        return self._group.get(group, self._defaults.fallback_group)


def text_cost(price: Price, usage: Usage) -> int:
    """Quota units for ``usage``, rounded up; at least 1 unless the price or the usage is zero."""
    prompt_tokens, completion_tokens = usage.prompt_tokens, usage.completion_tokens
    if prompt_tokens + completion_tokens == 0:
        return 0
    ratio = price.ratio
    quota = math.ceil((prompt_tokens + completion_tokens * price.completion) * ratio)
    return 1 if ratio != 0 and quota <= 0 else quota


def transcription_cost(price: Price, tokens: int) -> int:
    """Quota units for ``tokens`` of transcribed text."""
    return max(math.ceil(tokens * price.ratio), 0)


def speech_cost(price: Price, text: str) -> int:
    """Quota units for reading ``text`` out: its bytes count."""
    return max(int(len(text.encode("utf-8", "surrogatepass")) * price.ratio), 0)


def image_cost(price: Price, tables: ImageTables, model: str, order: ImageOrder, *, channel_type: int) -> int:
    """Quota units for the images of ``order``."""
    size_ratio = tables.size_ratio.get(model, {}).get(order.size, 1)
    if model == tables.hd_model and order.quality == "hd":
        size_ratio *= tables.hd_square if order.size == "1024x1024" else tables.hd_other
    each = int(price.ratio * size_ratio * IMAGE_TOKENS)
    return max(each if channel_type == REPLICATE else each * order.count, 0)


def text_hold(price: Price, tokens: int) -> int:
    """What to reserve for ``tokens``: PreConsumedQuota, the prompt and the most that may be produced."""
    return max(int(tokens * price.ratio), 0)


def image_order(body: Json) -> ImageOrder:
    """The order in an image request. Raises ClientError when a field has the wrong type."""
    count = body.get("n")
    texts = {name: body.get(name) for name in ("prompt", "size", "quality")}
    wrong = next(
        (name for name, value in texts.items() if value is not None and not isinstance(value, str)), ""
    )
    if count is not None and type(count) is not int:
        wrong = "n"
    if wrong:
        raise ClientError(f"the field {wrong} has the wrong type", code="invalid_image_request")
    return ImageOrder(texts["prompt"] or "", count or 1, texts["size"] or "1024x1024", texts["quality"] or "")


def check_image(tables: ImageTables, model: str, order: ImageOrder) -> None:
    """Raises ClientError when ``model`` (after mapping) cannot serve ``order``."""
    sizes = tables.size_ratio.get(model)
    longest = tables.prompt_max_bytes.get(model)
    low, high = tables.count_range.get(model, (order.count, order.count))
    if not order.prompt:
        raise ClientError("prompt is required", code="prompt_missing")
    if sizes is not None and order.size not in sizes:
        raise ClientError("size not supported for this image model", code="size_not_supported")
    if longest is not None and len(order.prompt.encode("utf-8", "surrogatepass")) > longest:
        raise ClientError("prompt is too long", code="prompt_too_long")
    if not low <= order.count <= high:
        raise ClientError("invalid value of n", code="n_not_within_range")


def check_speech(text: str) -> None:
    """Raises ClientError when the text to read out is too long."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_SPEECH_BYTES:
        raise ClientError(f"input is too long (over {MAX_SPEECH_BYTES} characters)", code="text_too_long")


def _rule(entry: Json) -> Rule:
    when = entry["if"]
    return Rule(
        entry["value"], when.get("prefix", ""), when.get("suffix", ""), tuple(when.get("equals_any", ()))
    )


def _ratio_map(text: str) -> RatioMap:
    """The numbers in an option's JSON object; text that is none prices nothing."""
    try:
        parsed: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(parsed, dict):
        return {}
    return {
        name: value
        for name, value in parsed.items()
        if type(value) in (int, float) and abs(value) <= HIGHEST_RATIO
    }


def _bare(model: str) -> str:
    """The model behind the name: with or without internet access it has one price."""
    if model.startswith(("qwen-", "command-")):
        return model.removesuffix("-internet")
    return model


def _find(name: str, channel_type: int, current: RatioMap, shipped: RatioMap) -> float | None:
    for key in (f"{name}({channel_type})", name):
        for table in (current, shipped):
            if key in table:
                return table[key]
    return None
