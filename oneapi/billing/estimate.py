"""How many tokens a request or an answer has: exactly or nearly when the upstream named no usage, and cheaply
and from above before the request is sent.

The counting functions block (a vocabulary is read, text is encoded) and belong into a worker thread. Only
``prompt_ceiling`` and ``most_output`` are for the event loop.
"""

from typing import Any

import orjson

from oneapi.billing.images import image_tokens
from oneapi.billing.tokenizer import token_count
from oneapi.wire import Json, Mode

# ApproximateTokenEnabled: tokens per byte of UTF-8.
TOKENS_PER_BYTE = 0.38
PER_MESSAGE = 3
PER_REPLY = 3
PER_NAME = 1
# The first gpt-3.5-turbo wrapped its messages in another way.
OLD_MODEL, OLD_PER_MESSAGE, OLD_PER_NAME = "gpt-3.5-turbo-0301", 4, -1
# Upper estimates, by kind of text: an ASCII token rarely has one character only, a Chinese one often has.
ASCII_CHARACTERS_PER_TOKEN = 2
TOKENS_PER_WIDE_CHARACTER = 2
LARGEST_IMAGE_TOKENS, LARGEST_MINI_IMAGE_TOKENS = 85 + 8 * 170, 2833 + 8 * 5667
ROLE_TOKENS = 2
ROLE_AND_CONTENT = 2  # a message with these two fields only has nothing else to count
SMALL_REQUEST_BYTES = 4096
MOST_TOKENS = (1 << 31) - 1


def count_text(text: str, model: str, *, approximate: bool) -> int:
    """Tokens of ``text``."""
    if approximate:
        return int(len(text.encode("utf-8", "surrogatepass")) * TOKENS_PER_BYTE)
    return token_count(text, model) if text else 0


def count_prompt(mode: Mode, body: Json, model: str, *, approximate: bool) -> int:
    """Input tokens of a request in ``mode``."""
    if mode is Mode.CHAT:
        return count_messages(body, model, approximate=approximate)
    name = "prompt" if mode is Mode.COMPLETIONS else "input"
    total = count_input(body.get(name), model, approximate=approximate)
    if mode is Mode.EDITS:
        total += count_input(body.get("instruction"), model, approximate=approximate)
    return total


def count_messages(body: Json, model: str, *, approximate: bool) -> int:
    """Input tokens of a chat: messages with their pictures and tool calls, and the tools on offer."""
    old = model == OLD_MODEL
    per_message, per_name = (OLD_PER_MESSAGE, OLD_PER_NAME) if old else (PER_MESSAGE, PER_NAME)
    total = PER_REPLY
    for message in _objects(body.get("messages")):
        total += per_message + _content_tokens(message.get("content"), model, approximate=approximate)
        if message.get("name"):
            total += per_name
        for text in _texts(message):
            total += count_text(text, model, approximate=approximate)
    for offered in _offers(body):
        total += count_text(orjson.dumps(offered).decode(), model, approximate=approximate)
    return total


def count_input(value: Any, model: str, *, approximate: bool) -> int:
    """Tokens of ``input`` or ``prompt``: a text, token ids, a list of either, or of content parts."""
    total = 0
    for item in _inputs(value):
        if isinstance(item, str):
            total += count_text(item, model, approximate=approximate)
        elif isinstance(item, list):
            total += len(item)
        else:
            total += _content_tokens([item], model, approximate=approximate)
    return total


def prompt_ceiling(body: Json, model: str) -> int:
    """A cheap upper estimate of the input tokens, for the hold. Looks at lengths only."""
    total = PER_REPLY
    messages = body.get("messages")
    for message in messages if type(messages) is list else ():
        if type(message) is not dict:
            continue
        content = message.get("content")
        total += PER_MESSAGE + ROLE_TOKENS
        total += _ceiling(content) if type(content) is str else _content_ceiling(content, model)
        if len(message) > ROLE_AND_CONTENT:
            for text in _texts(message):
                total += _ceiling(text)
    for offered in _offers(body):
        total += len(orjson.dumps(offered)) // ASCII_CHARACTERS_PER_TOKEN
    for name in ("prompt", "input", "instruction"):
        if name in body:
            total += _input_ceiling(body[name], model)
    return total


def request_ceiling(raw: bytes, body: Json, model: str) -> int:
    """`prompt_ceiling` of a whole request: a small one is judged by its size alone, JSON and all."""
    if len(raw) <= SMALL_REQUEST_BYTES and b'"image_url"' not in raw:
        return len(raw) // ASCII_CHARACTERS_PER_TOKEN
    return prompt_ceiling(body, model)


def most_output(body: Json) -> int:
    """What the request allows to be produced, 0 when it sets no limit."""
    most = 0
    for name in ("max_tokens", "max_completion_tokens"):
        limit = body.get(name)
        if type(limit) is int and limit > most:
            most = limit
    return min(most, MOST_TOKENS)


def _content_tokens(content: Any, model: str, *, approximate: bool) -> int:
    if isinstance(content, str):
        return count_text(content, model, approximate=approximate)
    total = 0
    for part in _objects(content):
        text = part.get("text")
        if isinstance(text, str):
            total += count_text(text, model, approximate=approximate)
        elif "image_url" in part:
            total += image_tokens(part["image_url"], model)
    return total


def _content_ceiling(content: Any, model: str) -> int:
    total = 0
    for part in _objects(content):
        text = part.get("text")
        if isinstance(text, str):
            total += _ceiling(text)
        elif "image_url" in part:
            mini = model.startswith("gpt-4o-mini")
            total += LARGEST_MINI_IMAGE_TOKENS if mini else LARGEST_IMAGE_TOKENS
    return total


def _inputs(value: Any) -> list[str | list[int] | Json]:
    """The entries of ``input``: texts, lists of token ids, content parts. Anything else is left out."""
    if isinstance(value, list) and not (value and isinstance(value[0], int)):
        return [item for item in value if isinstance(item, (str, list, dict))]
    return [value] if isinstance(value, (str, list, dict)) else []


def _input_ceiling(value: Any, model: str) -> int:
    total = 0
    for item in _inputs(value):
        if isinstance(item, str):
            total += _ceiling(item)
        else:
            total += len(item) if isinstance(item, list) else _content_ceiling([item], model)
    return total


def _ceiling(text: str) -> int:
    """Both tests are free: Python knows the length and the kind of a text."""
    if text.isascii():
        return len(text) // ASCII_CHARACTERS_PER_TOKEN + 1
    return len(text) * TOKENS_PER_WIDE_CHARACTER


def _texts(message: Json) -> list[str]:
    """What a message says beside its content: role, name, reasoning, and the calls that the model made."""
    texts = [message.get(name) for name in ("role", "name", "reasoning_content", "refusal")]
    functions = [call.get("function") for call in _objects(message.get("tool_calls"))]
    functions.append(message.get("function_call"))
    for function in functions:
        if isinstance(function, dict):
            texts += (function.get("name"), function.get("arguments"))
    return [text for text in texts if isinstance(text, str)]


def _offers(body: Json) -> list[Any]:
    """What else the model reads: the tools on offer and the schema of the answer."""
    answer = body.get("response_format")
    schema = answer.get("json_schema") if isinstance(answer, dict) else None
    return [offered for offered in (body.get("tools"), body.get("functions"), schema) if offered]


def _objects(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
