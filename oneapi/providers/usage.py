"""Usage objects of the OpenAI family, sorted into disjoint buckets."""

from typing import Any

from oneapi.wire import Json, Usage

INPUT_KINDS = ("cache_write_tokens", "audio_tokens", "image_tokens")
OUTPUT_KINDS = ("audio_tokens", "image_tokens")
HIGHEST_COUNT = 1e15
PLAIN_SIZE = 3  # prompt, completion and total: what most servers send, and all of it
NOTHING: Json = {}


def usage_of(named: Any, *, total_is_prompt: bool = False) -> Usage | None:
    """The buckets of a vendor's ``usage`` object, None when it names no tokens.

    Cached tokens are part of the prompt, and reasoning is part of the completion unless the total shows that
    the vendor (xAI) left it out. A total alone says nothing about a chat with its two prices, but
    everything about an embedding: ``total_is_prompt``.
    """
    if not isinstance(named, dict):
        return None
    if len(named) == PLAIN_SIZE:
        prompt, completion = named.get("prompt_tokens"), named.get("completion_tokens")
        if (
            type(prompt) is int
            and type(completion) is int
            and prompt > 0 < completion
            and "total_tokens" in named
        ):
            return Usage(input_uncached=prompt, output_text=completion)
    prompt = count(named.get("prompt_tokens") or named.get("input_tokens"))
    completion = count(named.get("completion_tokens") or named.get("output_tokens"))
    total = count(named.get("total_tokens"))
    if not prompt and not completion and not (total and total_is_prompt):
        return None
    if not prompt:
        prompt = max(total - completion, 0)
    elif not completion:
        completion = max(total - prompt, 0)
    output = _details(named, "completion_tokens_details", "output_tokens_details")
    reasoning = count(output.get("reasoning_tokens"))
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning
    details = _details(named, "prompt_tokens_details", "input_tokens_details")
    cached = (
        details.get("cached_tokens") or named.get("prompt_cache_hit_tokens") or named.get("cached_tokens")
    )
    special = cached or reasoning
    if not special and (details or output):
        special = any(map(details.get, INPUT_KINDS)) or any(map(output.get, OUTPUT_KINDS))
    if not special:
        return Usage(input_uncached=prompt, output_text=completion)
    return _sorted(prompt, completion, {**details, "cached_tokens": cached}, output)


def count(value: Any) -> int:
    """A number of tokens as some vendor wrote it; 0 for what is none."""
    if type(value) is int:
        return value if value > 0 else 0
    return max(int(value), 0) if type(value) is float and abs(value) < HIGHEST_COUNT else 0


def _details(named: Json, name: str, other_name: str) -> Json:
    found = named.get(name) or named.get(other_name)
    return found if isinstance(found, dict) else NOTHING


def _sorted(prompt: int, completion: int, details: Json, output: Json) -> Usage:
    # A bucket never takes more than is left, whatever the vendor says: the buckets add up to the two sides.
    cache_read = min(count(details["cached_tokens"]), prompt)
    left = prompt - cache_read
    cache_write = min(count(details.get("cache_write_tokens")), left)
    left -= cache_write
    input_audio = min(count(details.get("audio_tokens")), left)
    left -= input_audio
    input_image = min(count(details.get("image_tokens")), left)
    reasoning = min(count(output.get("reasoning_tokens")), completion)
    rest = completion - reasoning
    output_audio = min(count(output.get("audio_tokens")), rest)
    rest -= output_audio
    output_image = min(count(output.get("image_tokens")), rest)
    return Usage(
        input_uncached=left - input_image,
        cache_read=cache_read,
        cache_write=cache_write,
        output_text=rest - output_image,
        output_reasoning=reasoning,
        output_audio=output_audio,
        output_image=output_image,
        input_audio=input_audio,
        input_image=input_image,
    )
