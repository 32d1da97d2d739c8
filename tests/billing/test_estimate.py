"""Token counts: the shipped vocabularies are the real ones, and requests are counted by OpenAI's rules."""

import base64
import hashlib
import struct
from typing import Any

import pytest
from tiktoken_ext import openai_public  # type: ignore[import-untyped]

from oneapi.billing import images, tokenizer
from oneapi.billing.estimate import (
    count_input,
    count_messages,
    count_prompt,
    count_text,
    most_output,
    prompt_ceiling,
)
from oneapi.wire import Mode

# What tiktoken itself pins for the files that it would download.
PINNED = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5"
    "ErkJggg=="
)


@pytest.mark.parametrize("name", PINNED)
def test_a_shipped_vocabulary_is_the_published_one(name: str) -> None:
    tokens = tokenizer.vocabulary(name)
    text = b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))
    assert hashlib.sha256(text).hexdigest() == PINNED[name]


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("", 0, 0),
        ("hello world", 2, 2),
        ("tiktoken is great!", 6, 6),
        ("antidisestablishmentarianism", 6, 6),
        ("2 + 2 = 4", 7, 7),
        ("お誕生日おめでとう", 9, 8),
        ("<|endoftext|>", 7, 7),
        ("你好，世界", 6, 3),
        ("\ud800", 1, 1),
    ],
)
def test_text_has_as_many_tokens_as_tiktoken_says(text: str, old: int, new: int) -> None:
    assert count_text(text, "gpt-4", approximate=False) == old
    assert count_text(text, "gpt-4o-mini", approximate=False) == new


@pytest.mark.parametrize("name", PINNED)
def test_text_is_cut_by_the_patterns_of_tiktoken_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: {})
    assert openai_public.ENCODING_CONSTRUCTORS[name]()["pat_str"] == tokenizer.PATTERNS[name]


def test_a_very_long_run_of_one_character_is_counted_in_time() -> None:
    assert count_text("a" * 400_000, "gpt-4", approximate=False) == 50_000
    assert count_text(" " * 400_000, "gpt-4o", approximate=False) < 10_000


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-2024-08-06", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("gpt-5-nano", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("text-davinci-003", "cl100k_base"),
        ("qwen-max", "cl100k_base"),
    ],
)
def test_a_model_has_its_vocabulary(model: str, name: str) -> None:
    assert tokenizer.encoding_name(model) == name


def chat(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), **more}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (chat({"role": "user", "content": "12345678901234567890"}), 14),
        (chat({"role": "user", "content": "[usage=30,20] 1234567890"}), 16),
        (chat({"role": "user", "content": "abcdefghij"}), 10),
        (
            chat(
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what is it"},
                        {"type": "image_url", "image_url": {"url": PIXEL}},
                    ],
                }
            ),
            265,
        ),
        (
            chat(
                {
                    "role": "user",
                    "name": "bob",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "https://i.example/x", "detail": "low"}}
                    ],
                }
            ),
            94,
        ),
    ],
)
def test_approximate_counts_are_those_of_the_reference_program(body: dict[str, Any], tokens: int) -> None:
    assert count_messages(body, "m1", approximate=True) == tokens
    assert count_prompt(Mode.CHAT, body, "m1", approximate=True) == tokens


def test_messages_are_counted_as_openai_documents_it() -> None:
    # The example of OpenAI's cookbook, with its answers for the two models.
    body = chat(
        {
            "role": "system",
            "content": "You are a helpful, pattern-following assistant "
            "that translates corporate jargon into plain English.",
        },
        {
            "role": "system",
            "name": "example_user",
            "content": "New synergies will help drive top-line growth.",
        },
        {
            "role": "system",
            "name": "example_assistant",
            "content": "Things working well together will increase revenue.",
        },
        {
            "role": "system",
            "name": "example_user",
            "content": "Let's circle back when we have more bandwidth "
            "to touch base on opportunities for increased leverage.",
        },
        {
            "role": "system",
            "name": "example_assistant",
            "content": "Let's talk later when we're less busy about how to do better.",
        },
        {
            "role": "user",
            "content": "This late pivot means we don't have time "
            "to boil the ocean for the client deliverable.",
        },
    )
    assert count_messages(body, "gpt-4", approximate=False) == 129
    assert count_messages(body, "gpt-3.5-turbo-0301", approximate=False) == 127
    assert count_messages(body, "gpt-4o", approximate=False) == 124


def test_tools_and_tool_calls_are_not_free() -> None:
    plain = chat({"role": "assistant", "content": None})
    counted = count_messages(plain, "gpt-4", approximate=False)
    call = {"function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
    for body in (
        chat({"role": "assistant", "content": None, "tool_calls": [call]}),
        chat({"role": "assistant", "content": None, "function_call": call["function"]}),
        chat({"role": "assistant", "content": None, "reasoning_content": "Think."}),
        {**plain, "tools": [{"type": "function", "function": {"name": "f"}}]},
        {**plain, "functions": [{"name": "f"}]},
        {**plain, "response_format": {"type": "json_schema", "json_schema": {"name": "s"}}},
    ):
        assert count_messages(body, "gpt-4", approximate=False) > counted
        assert prompt_ceiling(body, "gpt-4") > prompt_ceiling(plain, "gpt-4")
    assert (
        count_messages({**plain, "response_format": {"type": "text"}}, "gpt-4", approximate=False) == counted
    )


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        ("hello world", 2),
        (["hello world", "hello"], 3),
        ([1, 2, 3], 3),
        ([[1, 2, 3], [4]], 4),
        (
            [{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": "https://i.example/x"}, 7],
            86,
        ),
        ({"text": "hello"}, 1),
        ([], 0),
        (None, 0),
        (5, 0),
    ],
)
def test_every_kind_of_input_is_counted(value: Any, tokens: int) -> None:
    assert count_input(value, "text-embedding-3-small", approximate=False) == tokens
    assert count_prompt(Mode.EMBEDDINGS, {"input": value}, "m", approximate=False) == tokens
    assert count_prompt(Mode.COMPLETIONS, {"prompt": value}, "m", approximate=False) == tokens
    edit = {"input": value, "instruction": "hello"}
    assert count_prompt(Mode.EDITS, edit, "m", approximate=False) == tokens + 1
    assert prompt_ceiling({"input": value}, "m") >= tokens


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": 5},
        {"messages": [1, "x", None]},
        {"messages": [{"content": [1, {"type": "image_url"}, {"type": "image_url", "image_url": None}]}]},
        {"messages": [{"role": 1, "content": {}, "tool_calls": [{"function": 1}, 2], "function_call": 3}]},
        {"input": [None, [None], {"image_url": {"url": 5}}]},
    ],
)
def test_odd_bodies_are_counted_without_a_failure(body: dict[str, Any]) -> None:
    assert count_messages(body, "gpt-4", approximate=False) >= 3
    assert count_input(body.get("input"), "gpt-4", approximate=True) >= 0
    assert prompt_ceiling(body, "gpt-4") >= 0


@pytest.mark.parametrize(
    "text", ["hello world, how are you?", "你好，世界，今天天气很好", "naïve café 🎉🎉", "a" * 99]
)
def test_the_ceiling_is_above_the_count(text: str) -> None:
    body = chat(
        {
            "role": "user",
            "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": PIXEL}],
        }
    )
    plain = chat({"role": "user", "name": "bob", "content": text})
    for model in ("gpt-4", "gpt-4o-mini"):
        assert prompt_ceiling(body, model) >= count_messages(body, model, approximate=False)
        assert prompt_ceiling(plain, model) >= count_messages(plain, model, approximate=False)


@pytest.mark.parametrize(
    ("body", "most"),
    [
        ({}, 0),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 5, "max_completion_tokens": 9}, 9),
        ({"max_tokens": None, "max_completion_tokens": "9"}, 0),
        ({"max_tokens": -4}, 0),
        ({"max_completion_tokens": 1 << 60}, (1 << 31) - 1),
    ],
)
def test_the_most_that_may_be_produced_is_the_larger_limit(body: dict[str, Any], most: int) -> None:
    assert most_output(body) == most


@pytest.mark.parametrize(
    ("width", "height", "tiles"),
    [(0, 0, 0), (1, 1, 1), (512, 512, 1), (513, 512, 2), (1024, 1024, 4), (2048, 4096, 6), (4096, 100, 4)],
)
def test_pictures_are_cut_into_tiles(width: int, height: int, tiles: int) -> None:
    assert images.tiles(width, height) == tiles


def jpeg(width: int, height: int) -> bytes:
    exif = b"\xff\xe1" + struct.pack(">H", 1002) + bytes(1000)
    table = b"\xff\xc4" + struct.pack(">H", 4) + b"ab"
    return (
        b"\xff\xd8\xff\x01"
        + exif
        + b"\xff"
        + table
        + b"\xff\xc2\x00\x11\x08"
        + struct.pack(">HH", height, width)
        + b"\x03"
    )


PICTURES = {
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">II", 640, 480),
    "gif": b"GIF89a" + struct.pack("<HH", 640, 480),
    "jpeg": jpeg(640, 480),
    "webp, lossy": b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640, 480),
    "webp, lossless": b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 639 | 479 << 14),
    "webp, extended": b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0" + b"\x7f\x02\0" + b"\xdf\x01\0",
}


@pytest.mark.parametrize("kind", PICTURES)
def test_the_size_of_a_picture_is_read_from_its_head(kind: str) -> None:
    url = "DATA:image/x;charset=utf-8;BASE64," + base64.encodebytes(PICTURES[kind] + bytes(900)).decode()
    assert images.data_url_size(url) == (640, 480)
    assert images.image_tokens({"url": url, "detail": "high"}, "gpt-4o") == 85 + 2 * 170
    assert images.image_tokens(url, "gpt-4o-mini") == 2833 + 2 * 5667


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"BM",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\0",
        b"RIFF\0\0\0\0WEBPxxxx",
        b"RIFF\0\0\0\0WEBPVP8L",
        b"\xff\xd8abcdefghij",
    ],
)
def test_a_picture_of_unknown_size_counts_its_base_amount(data: bytes) -> None:
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    assert images.image_tokens(url, "gpt-4o") == 85


@pytest.mark.parametrize(
    ("image", "tokens"),
    [
        ("https://pictures.example/a.png", 85),
        ("data:image/png,plain", 85),
        ("data:image/png;base64,####", 85),
        ("data:image/png;base64,\xffabc", 85),
        ({"url": PIXEL, "detail": "low"}, 85),
        ({"url": PIXEL, "detail": "auto"}, 255),
        ({"url": PIXEL, "detail": "strange"}, 0),
        ({}, 85),
        (None, 85),
    ],
)
def test_detail_and_address_decide_what_a_picture_counts(image: Any, tokens: int) -> None:
    assert images.image_tokens(image, "gpt-4o") == tokens
