"""Prices and costs, to the unit."""

from pathlib import Path

import orjson
import pytest

from oneapi import resources
from oneapi.billing.ratio import (
    ImageOrder,
    Price,
    Prices,
    check_image,
    check_speech,
    image_cost,
    image_order,
    parse_defaults,
    speech_cost,
    text_cost,
    text_hold,
    transcription_cost,
)
from oneapi.errors import ClientError
from oneapi.wire import Usage

DEFAULTS = parse_defaults(resources.read("oneapi/data/ratios.json"))
VECTORS = orjson.loads(Path(__file__).with_name("effective_completion_ratio.json").read_bytes())
# The prices of the recorded quota scenario.
PRICES = Prices(
    DEFAULTS,
    model='{"m1": 1, "m-half": 0.5, "m-free": 0, "m-tiny": 0.0001, "m-big": 100, "m-odd": 0.3333}',
    completion='{"m1": 3, "m-odd": 1.7}',
    group='{"default": 1, "cheap": 0.25, "free": 0}',
)


def use(prompt: int, completion: int) -> Usage:
    return Usage(input_uncached=prompt, output_text=completion)


@pytest.mark.parametrize(
    ("model", "group", "prompt", "completion", "quota", "note"),
    [
        ("m1", "default", 10, 5, 25, "倍率：1.00 × 1.00 × 3.00"),
        ("m1", "default", 11, 9, 38, "倍率：1.00 × 1.00 × 3.00"),
        ("m-half", "default", 3, 0, 2, "倍率：0.50 × 1.00 × 1.00"),
        ("m-free", "default", 1000, 1000, 0, "倍率：0.00 × 1.00 × 1.00"),
        ("m-tiny", "default", 3, 3, 1, "倍率：0.00 × 1.00 × 1.00"),
        ("m-big", "default", 7, 2, 900, "倍率：100.00 × 1.00 × 1.00"),
        ("m-odd", "default", 11, 7, 8, "倍率：0.33 × 1.00 × 1.70"),
        ("m-none", "default", 2, 3, 150, "倍率：30.00 × 1.00 × 1.00"),
        ("gpt-4o", "default", 1000, 1000, 12500, "倍率：2.50 × 1.00 × 4.00"),
        ("gpt-3.5-turbo", "default", 1000, 1000, 1000, "倍率：0.25 × 1.00 × 3.00"),
        ("gpt-3.5-turbo-instruct", "default", 13, 7, 17, "倍率：0.75 × 1.00 × 1.33"),
        ("claude-3-opus-20240229", "default", 10, 10, 450, "倍率：7.50 × 1.00 × 5.00"),
        ("text-embedding-3-small", "default", 8, 0, 1, "倍率：0.01 × 1.00 × 1.00"),
        ("m1", "cheap", 10, 5, 7, "倍率：1.00 × 0.25 × 3.00"),
        ("m1", "free", 10, 5, 0, "倍率：1.00 × 0.00 × 3.00"),
        ("m1", "unpriced", 10, 5, 25, "倍率：1.00 × 1.00 × 3.00"),
        ("m1", "default", 0, 0, 0, "倍率：1.00 × 1.00 × 3.00"),
    ],
)
def test_text_costs_what_the_reference_program_charged(  # noqa: PLR0913  a row of the table
    model: str, group: str, prompt: int, completion: int, quota: int, note: str
) -> None:
    price = PRICES.price(model, 1, group)
    assert text_cost(price, use(prompt, completion)) == quota
    assert price.text_note == note


@pytest.mark.parametrize("model", sorted(VECTORS))
def test_every_shipped_model_has_the_reference_completion_ratio(model: str) -> None:
    assert Prices(DEFAULTS).completion_ratio(model, 0) == VECTORS[model]


def test_every_bucket_of_a_usage_is_paid() -> None:
    usage = Usage(
        input_uncached=1,
        cache_read=2,
        cache_write=4,
        input_audio=8,
        input_image=16,
        output_text=1,
        output_reasoning=2,
        output_audio=4,
        output_image=8,
    )
    assert text_cost(Price(1, 1, 2), usage) == 31 + 15 * 2


def test_a_negative_price_costs_one_unit_and_reserves_nothing() -> None:
    price = Prices(DEFAULTS).price("openrouter/auto", 20, "default")
    assert price.model == -500000
    assert text_cost(price, use(3, 4)) == 1
    assert text_hold(price, 1000) == 0
    assert transcription_cost(price, 5) == 0
    assert speech_cost(price, "hi") == 0


@pytest.mark.parametrize(
    ("channel_type", "model_ratio", "completion_ratio"),
    [(33, 0.15, 2.0), (29, 0.00005 * 0.5, 2.0)],
    ids=["with the type's own price", "of another type"],
)
def test_a_price_for_one_channel_type_comes_before_the_model_s(
    channel_type: int, model_ratio: float, completion_ratio: float
) -> None:
    price = Prices(DEFAULTS).price("llama3-8b-8192", channel_type, "default")
    assert price.model == pytest.approx(model_ratio)
    assert price.completion == pytest.approx(completion_ratio)


def test_an_option_s_price_comes_before_the_shipped_one_and_the_type_before_both() -> None:
    prices = Prices(DEFAULTS, model='{"gpt-4o": 7, "gpt-4o(3)": 9}', completion='{"gpt-4o": 1.5}')
    assert prices.price("gpt-4o", 1, "default") == Price(7, 1, 1.5)
    assert prices.price("gpt-4o", 3, "default") == Price(9, 1, 1.5)
    # The shipped price for a type still beats the option's price for the name.
    assert Prices(DEFAULTS, model='{"llama3-8b-8192": 7}').model_ratio("llama3-8b-8192", 33) != 7


def test_internet_access_does_not_change_a_price() -> None:
    prices = Prices(DEFAULTS)
    for model in ("command-r", "command-r-plus", "qwen-turbo"):
        assert prices.price(f"{model}-internet", 1, "default") == prices.price(model, 1, "default")
    assert prices.model_ratio("other-internet", 1) == 30


@pytest.mark.parametrize(
    "text", ["no json", "[1]", '{"gpt-4o": "2"}', '{"gpt-4o": null}', '{"gpt-4o": true}', '{"gpt-4o": 1e99}']
)
def test_an_unusable_option_leaves_the_shipped_prices(text: str) -> None:
    prices = Prices(DEFAULTS, model=text, completion=text, group=text)
    assert prices.price("gpt-4o", 1, "vip") == Price(2.5, 1, 4)


def test_prices_are_remembered_without_growing_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oneapi.billing.ratio.MOST_REMEMBERED", 2)
    prices = Prices(DEFAULTS)
    first = prices.price("a", 1, "g")
    assert prices.price("a", 1, "g") is first
    prices.price("b", 1, "g")
    prices.price("c", 1, "g")
    assert prices.price("a", 1, "g") == first
    assert prices.price("a", 1, "g") is not first


@pytest.mark.parametrize(
    ("model", "body", "quota"),
    [
        ("dall-e-2", {}, 12500),
        ("dall-e-2", {"n": 2, "size": "512x512"}, 22500),
        ("dall-e-3", {"size": "1792x1024", "quality": "hd"}, 60000),
        ("dall-e-3", {"quality": "hd"}, 40000),
        ("dall-e-3", {"quality": "standard", "size": "1024x1792"}, 40000),
        ("no-such-image", {"n": 3, "size": "1x1", "quality": "hd"}, 90000),
    ],
)
def test_images_cost_what_the_reference_program_charged(
    model: str, body: dict[str, object], quota: int
) -> None:
    prices = Prices(DEFAULTS)
    order = image_order({"prompt": "a cat", **body})
    check_image(prices.images, model, order)
    price = prices.price(model, 1, "default")
    assert image_cost(price, prices.images, model, order, channel_type=1) == quota
    assert price.media_note.startswith("倍率：")


def test_replicate_makes_and_charges_one_image() -> None:
    prices = Prices(DEFAULTS, model='{"flux": 2}')
    order = ImageOrder("a cat", 4, "1024x1024", "")
    assert image_cost(prices.price("flux", 46, "g"), prices.images, "flux", order, channel_type=46) == 2000


@pytest.mark.parametrize(
    ("model", "body", "message", "code"),
    [
        ("dall-e-3", {}, "prompt is required", "prompt_missing"),
        (
            "dall-e-3",
            {"prompt": "x", "size": "256x256"},
            "size not supported for this image model",
            "size_not_supported",
        ),
        ("dall-e-3", {"prompt": "x", "n": 2}, "invalid value of n", "n_not_within_range"),
        ("dall-e-2", {"prompt": "x", "n": -1}, "invalid value of n", "n_not_within_range"),
        ("dall-e-2", {"prompt": "é" * 501}, "prompt is too long", "prompt_too_long"),
        ("cogview-3", {"prompt": "x" * 834, "size": "7x7"}, "prompt is too long", "prompt_too_long"),
        ("dall-e-2", {"prompt": "x", "n": "2"}, "the field n has the wrong type", "invalid_image_request"),
        ("dall-e-2", {"prompt": 5}, "the field prompt has the wrong type", "invalid_image_request"),
    ],
)
def test_an_image_order_that_the_model_cannot_serve_is_refused(
    model: str, body: dict[str, object], message: str, code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        check_image(DEFAULTS.images, model, image_order(body))
    assert (caught.value.message, caught.value.code, caught.value.status) == (message, code, 400)


def test_speech_costs_its_bytes() -> None:
    price = Prices(DEFAULTS).price("tts-1", 1, "default")
    assert speech_cost(price, "hello world") == 82
    assert speech_cost(price, "é") == 15
    assert price.media_note == "倍率：7.50 × 1.00"
    check_speech("x" * 4096)
    with pytest.raises(ClientError, match=r"over 4096 characters"):
        check_speech("é" * 2049)


def test_a_transcription_costs_its_text_at_the_model_s_price() -> None:
    price = Prices(DEFAULTS).price("whisper-1", 1, "default")
    assert (price.model, transcription_cost(price, 7)) == (15, 105)
    assert transcription_cost(Price(0.3, 1, 0), 7) == 3
    assert transcription_cost(price, 0) == 0


def test_a_hold_is_cut_off_not_rounded_up() -> None:
    assert text_hold(Price(0.3333, 1, 1), 500) == 166
    assert text_hold(Price(30, 1, 1), 508) == 15240
