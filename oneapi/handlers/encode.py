"""Answers as One API writes them: compact JSON, fields in declared order, text escaped for HTML."""

from typing import Any

import orjson

from oneapi.store.records import ChannelRow, Log, Redemption, Token, User
from oneapi.wire import Json

# A reader that puts an answer into a page must not be able to leave its string.
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)


def json_bytes(value: Any) -> bytes:
    """``value`` as JSON with ``<``, ``>``, ``&`` and U+2028/9 escaped; objects keep their order."""
    body = orjson.dumps(value)
    for plain, escaped in _ESCAPES:
        if plain in body:
            body = body.replace(plain, escaped)
    return body


def number(value: float) -> float:
    """``value``, as an int when it is whole: One API writes ``1``, never ``1.0``."""
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def user_json(user: User) -> Json:
    """All that an answer may show of a user: the password hash and the access token stay here."""
    return {
        "id": user.id,
        "username": user.username,
        "password": "",
        "display_name": user.display_name,
        "role": user.role,
        "status": user.status,
        "email": user.email,
        "github_id": user.github_id,
        "wechat_id": user.wechat_id,
        "lark_id": user.lark_id,
        "oidc_id": user.oidc_id,
        "verification_code": "",
        "access_token": "",
        "quota": user.quota,
        "used_quota": user.used_quota,
        "request_count": user.request_count,
        "group": user.group,
        "aff_code": user.aff_code,
        "inviter_id": user.inviter_id,
    }


def user_excerpt(user: User, *fields: str) -> Json:
    """The whole record with only ``fields`` filled in; the others are ``""`` or 0."""
    full = user_json(user)
    return {name: value if name in fields else type(value)() for name, value in full.items()}


def token_json(token: Token) -> Json:
    """A token with its full key, which its owner may see."""
    return {
        "id": token.id,
        "user_id": token.user_id,
        "key": token.key,
        "status": token.status,
        "name": token.name,
        "created_time": token.created_time,
        "accessed_time": token.accessed_time,
        "expired_time": token.expired_time,
        "remain_quota": token.remain_quota,
        "unlimited_quota": token.unlimited_quota,
        "used_quota": token.used_quota,
        "models": token.models,
        "subnet": token.subnet,
    }


def channel_json(channel: ChannelRow) -> Json:
    """A channel with a blank key: once stored, a key only leaves for its upstream."""
    return {
        "id": channel.id,
        "type": channel.type,
        "key": "",
        "status": channel.status,
        "name": channel.name,
        "weight": channel.weight,
        "created_time": channel.created_time,
        "test_time": channel.test_time,
        "response_time": channel.response_time,
        "base_url": channel.base_url,
        "other": channel.other,
        "balance": number(channel.balance),
        "balance_updated_time": channel.balance_updated_time,
        "models": channel.models,
        "group": channel.group,
        "used_quota": channel.used_quota,
        "model_mapping": channel.model_mapping,
        "priority": channel.priority,
        "config": channel.config,
        "system_prompt": channel.system_prompt,
    }


def log_json(log: Log) -> Json:
    """A log row."""
    return {
        "id": log.id,
        "user_id": log.user_id,
        "created_at": log.created_at,
        "type": log.type,
        "content": log.content,
        "username": log.username,
        "token_name": log.token_name,
        "model_name": log.model_name,
        "quota": log.quota,
        "prompt_tokens": log.prompt_tokens,
        "completion_tokens": log.completion_tokens,
        "channel": log.channel,
        "request_id": log.request_id,
        "elapsed_time": log.elapsed_time,
        "is_stream": log.is_stream,
        "system_prompt_reset": log.system_prompt_reset,
    }


def redemption_json(code: Redemption) -> Json:
    """A redemption code with its key; ``count`` only means something in a request."""
    return {
        "id": code.id,
        "user_id": code.user_id,
        "key": code.key,
        "status": code.status,
        "name": code.name,
        "quota": code.quota,
        "created_time": code.created_time,
        "redeemed_time": code.redeemed_time,
        "count": 0,
    }
