"""What a model has produced in a message or delta: all its text, whatever the field."""

from typing import Any

from oneapi.wire import Json

# Stands for output that has no text (sound, a picture): something was delivered.
WORDLESS = " "


def message_text(choice: Json) -> str:
    """The text of a whole choice: of its message, or of a completion."""
    message = choice.get("message")
    if isinstance(message, dict):
        return produced_text(message)
    text = choice.get("text")
    return text if isinstance(text, str) else ""


def produced_text(part: Json) -> str:
    """Content, reasoning, refusal, tool names and arguments of a message or delta, in one string."""
    content = part.get("content")
    if type(content) is str:
        if len(part) == 1:
            return content
        text = content
    else:
        text = (parts_text(content) or WORDLESS) if content else ""
    # OpenRouter and Groq say it twice when we have copied their ``reasoning``.
    reasoning = part.get("reasoning_content") or part.get("reasoning")
    if type(reasoning) is str:
        text += reasoning
    refusal = part.get("refusal")
    if type(refusal) is str:
        text += refusal
    if "tool_calls" in part or "function_call" in part:
        text += _calls_text(part)
    if part.get("audio") or part.get("images"):
        text += _sound_text(part.get("audio")) or WORDLESS
    return text


def parts_text(content: Any) -> str:
    """The text of a list of content parts, Mistral's thinking parts included."""
    text = ""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict):
            text += _string(part.get("text")) or _thinking(part.get("thinking"))
    return text


def _thinking(parts: Any) -> str:
    if isinstance(parts, list):
        return "".join(_string(part.get("text")) for part in parts if isinstance(part, dict))
    return _string(parts)


def _calls_text(part: Json) -> str:
    calls = part.get("tool_calls")
    functions = (
        [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    )
    functions.append(part.get("function_call"))
    text = ""
    for function in functions:
        if isinstance(function, dict):
            text += _string(function.get("name")) + _string(function.get("arguments"))
    return text


def _sound_text(audio: Any) -> str:
    return _string(audio.get("transcript")) if isinstance(audio, dict) else ""


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
