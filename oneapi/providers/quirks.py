"""Where a vendor of the OpenAI family departs from OpenAI: edits of requests, answers and chunks.

A request's edit returns a new object, or None to send the client's own; the client's object is never changed.
An answer's edit works in place and says whether it changed anything. Facts as documented in 2025.
"""

from typing import Any

from oneapi.errors import Failure, UpstreamError
from oneapi.providers import failures
from oneapi.providers.text import parts_text
from oneapi.providers.usage import count
from oneapi.wire import Call, Json, Mode

# OpenAI's parameters that Mistral answers with 422. Its own, and those not invented yet, pass.
MISTRAL_REJECTS = frozenset(
    (
        "stream_options",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "user",
        "store",
        "metadata",
        "service_tier",
        "modalities",
        "audio",
        "functions",
        "function_call",
        "web_search_options",
        "verbosity",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "moderation",
        "seed",
        "max_completion_tokens",
    )
)
XAI_IMAGE_REJECTS = ("size", "quality", "style")
FINISH_REASON = {
    "model_length": "length",  # Mistral
    "eos": "stop",  # Together, older models
}
MINIMAX_STATUS = {
    1000: 500,
    1001: 504,
    1002: 429,
    1004: 401,
    1008: 402,
    1013: 500,
    1026: 400,
    1027: 400,
    1039: 429,
    2013: 400,
    2049: 401,
}
MINIMAX_SENSITIVE = (1026, 1027)


def copies_reasoning(answer: Json) -> bool:
    """OpenRouter and Groq say ``reasoning``; clients look for ``reasoning_content``."""
    changed = False
    for part in _parts(answer):
        reasoning = part.get("reasoning")
        if isinstance(reasoning, str) and "reasoning_content" not in part:
            part["reasoning_content"] = reasoning
            changed = True
    return changed


def strips_reasoning(call: Call) -> Json | None:
    """DeepSeek rejects ``reasoning_content`` of finished turns; inside a running tool turn it wants it."""
    messages = _messages(call)
    last_user = max((at for at, message in enumerate(messages) if message.get("role") == "user"), default=0)
    if not any("reasoning_content" in message for message in messages[:last_user]):
        return None
    finished = [
        {name: value for name, value in message.items() if name != "reasoning_content"}
        for message in messages[:last_user]
    ]
    return {**(call.body or {}), "messages": finished + messages[last_user:]}


def names_cached_tokens(answer: Json) -> bool:
    """DeepSeek's cache hits under OpenAI's name as well."""
    usage = answer.get("usage")
    if not isinstance(usage, dict) or not count(usage.get("prompt_cache_hit_tokens")):
        return False
    details = usage.get("prompt_tokens_details")
    if isinstance(details, dict) and "cached_tokens" in details:
        return False
    usage["prompt_tokens_details"] = {
        **(details if isinstance(details, dict) else {}),
        "cached_tokens": usage["prompt_cache_hit_tokens"],
    }
    return True


def counts_reasoning(answer: Json) -> bool:
    """xAI leaves reasoning out of ``completion_tokens``; the total has it."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return False
    completion = count(usage.get("total_tokens")) - count(usage.get("prompt_tokens"))
    if completion <= count(usage.get("completion_tokens")):
        return False
    usage["completion_tokens"] = completion
    return True


def sums_bot_usage(answer: Json) -> bool:
    """A Doubao bot calls several models; its own ``usage`` may stay at zero."""
    bot, usage = answer.get("bot_usage"), answer.get("usage")
    used = bot.get("model_usage") if isinstance(bot, dict) else None
    if not isinstance(used, list) or (isinstance(usage, dict) and count(usage.get("total_tokens"))):
        return False
    models = [entry for entry in used if isinstance(entry, dict)]
    answer["usage"] = {
        name: sum(count(entry.get(name)) for entry in models)
        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    }
    return True


def fits_mistral(call: Call) -> Json | None:
    """Mistral's strict schema: its own names for two parameters, image addresses as plain strings."""
    body = call.body or {}
    fitted = {name: value for name, value in body.items() if name not in MISTRAL_REJECTS}
    if call.mode is Mode.CHAT:
        if "seed" in body:
            fitted.setdefault("random_seed", body["seed"])
        if body.get("max_completion_tokens") is not None:
            fitted["max_tokens"] = body["max_completion_tokens"]
        if any(isinstance(message.get("content"), list) for message in _messages(call)):
            fitted["messages"] = [_with_plain_images(message) for message in _messages(call)]
    return None if fitted == body else fitted


def joins_content(answer: Json) -> bool:
    """Mistral's content may be a list of thinking and text parts; clients expect strings."""
    changed = False
    for part in _parts(answer):
        content = part.get("content")
        if isinstance(content, list):
            thinking = [item for item in content if isinstance(item, dict) and "thinking" in item]
            reasoning = parts_text(thinking)
            if reasoning:
                part["reasoning_content"] = reasoning
            part["content"] = parts_text([item for item in content if item not in thinking])
            changed = True
    return changed


def speaks_as_openai(answer: Json) -> bool:
    """Mistral's answers: plain strings, and OpenAI's word for a full context."""
    joined = joins_content(answer)
    return names_finish(answer) or joined


def names_finish(answer: Json) -> bool:
    """A few vendors' words for the end of an answer, as OpenAI's."""
    changed = False
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        reason = choice.get("finish_reason") if isinstance(choice, dict) else None
        if isinstance(reason, str) and reason in FINISH_REASON:
            choice["finish_reason"] = FINISH_REASON[reason]
            changed = True
    return changed


def orders_plain_images(call: Call) -> Json | None:
    """xAI's images have neither size nor quality nor style."""
    body = call.body or {}
    if call.mode is not Mode.IMAGES or not any(name in body for name in XAI_IMAGE_REJECTS):
        return None
    return {name: value for name, value in body.items() if name not in XAI_IMAGE_REJECTS}


def lists_images(answer: Json) -> bool:
    """SiliconFlow's ``images`` under OpenAI's ``data`` as well."""
    if "data" in answer or not isinstance(answer.get("images"), list):
        return False
    answer["data"] = [
        {"url": image["url"]} for image in answer["images"] if isinstance(image, dict) and "url" in image
    ]
    return True


def minimax_failure(call: Call, answer: Json) -> UpstreamError | None:
    """MiniMax reports its failures inside a 200, in ``base_resp``."""
    outcome = answer.get("base_resp")
    code = outcome.get("status_code") if isinstance(outcome, dict) else None
    if not isinstance(outcome, dict) or not isinstance(code, int) or code == 0:
        return None
    status = MINIMAX_STATUS.get(code, 500)
    message = outcome.get("status_msg")
    text = message if isinstance(message, str) and message else f"MiniMax error {code}"
    error = failures.raised(
        call, failures.Fault(text, "minimax_error", code), status=status, upstream_status=200
    )
    if code in MINIMAX_SENSITIVE:
        error.failure = Failure.POLICY
    return error


def spark_failure(call: Call, answer: Json) -> UpstreamError | None:
    """Spark's HTTP interface says ``code: 0`` in every success, and reports some failures inside a 200."""
    code = answer.get("code")
    if not isinstance(code, int) or code == 0:
        return None
    return failures.in_band_error(call, answer)


def _parts(answer: Json) -> list[Json]:
    """The messages or deltas of an answer's choices."""
    choices = answer.get("choices")
    listed = choices if isinstance(choices, list) else []
    found = [choice.get("delta") or choice.get("message") for choice in listed if isinstance(choice, dict)]
    return [part for part in found if isinstance(part, dict)]


def _messages(call: Call) -> list[Json]:
    messages = (call.body or {}).get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return []
    return messages


def _with_plain_images(message: Json) -> Json:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": [_plain_image(part) for part in content]}


def _plain_image(part: Any) -> Any:
    image = part.get("image_url") if isinstance(part, dict) else None
    if isinstance(image, dict) and isinstance(image.get("url"), str):
        return {**part, "image_url": image["url"]}
    return part
