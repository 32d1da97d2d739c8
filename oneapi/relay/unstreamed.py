"""A whole answer as a stream, for the upstream that cannot stream and the client that wants one. Pure."""

from typing import Any

from oneapi.wire import Json, Mode


def chunks_of(mode: Mode, answer: Json) -> list[Json]:
    """The chunks that say what ``answer`` says: the text, then how it ended, then the usage, if any."""
    choices = [choice for choice in answer.get("choices") or () if isinstance(choice, dict)]
    if mode is not Mode.CHAT:
        chunks = [{**answer, "choices": [choice], "usage": None} for choice in choices]
    else:
        head = {key: value for key, value in answer.items() if key not in ("choices", "usage")}
        head["object"] = "chat.completion.chunk"
        chunks = [{**head, "choices": [_opening(choice)]} for choice in choices]
        chunks += [{**head, "choices": [_ending(choice)]} for choice in choices]
    if answer.get("usage") is not None and chunks:
        chunks.append({**chunks[-1], "choices": [], "usage": answer["usage"]})
    return chunks


def _opening(choice: Json) -> Json:
    message = choice.get("message")
    delta: Json = dict(message) if isinstance(message, dict) else {}
    calls: Any = delta.get("tool_calls")
    if isinstance(calls, list):
        # Clients put fragments of calls together by their index, which a whole answer does not need.
        delta["tool_calls"] = [
            {"index": number, **call} for number, call in enumerate(calls) if isinstance(call, dict)
        ]
    return {
        "index": choice.get("index", 0),
        "delta": delta,
        "logprobs": choice.get("logprobs"),
        "finish_reason": None,
    }


def _ending(choice: Json) -> Json:
    reason = choice.get("finish_reason") or "stop"
    return {"index": choice.get("index", 0), "delta": {}, "logprobs": None, "finish_reason": reason}
