"""From an ``Authorization`` header to the caller who pays.

Texts, statuses and their order are One API's (contract section 5.2).
"""

from ipaddress import ip_address
from typing import NamedTuple

from oneapi import tasks
from oneapi.errors import AuthenticationError, ClientError, PermissionDeniedError
from oneapi.store.index import TokenEntry
from oneapi.store.records import ROLE_ADMIN, STATUS_ENABLED, TOKEN_EXHAUSTED, TOKEN_EXPIRED
from oneapi.store.store import Store


class Caller(NamedTuple):
    """A token that works, and the channel it asks for by ``sk-KEY-ID`` ("" for none)."""

    token: TokenEntry
    channel_suffix: str


def split_key(authorization: str) -> tuple[str, str]:
    """``(key, channel suffix)``: "Bearer " and "sk-" are optional, a dash starts the suffix."""
    key, _, suffix = authorization.removeprefix("Bearer ").removeprefix("sk-").partition("-")
    return key, suffix.partition("-")[0]


def authenticate(store: Store, authorization: str, remote_ip: str, now: int) -> Caller:
    """The caller of a relay route. Raises AuthenticationError or PermissionDeniedError."""
    if not authorization:
        raise AuthenticationError("未提供令牌")
    key, suffix = split_key(authorization)
    token = store.index.tokens.get(key)
    if token is None:
        raise AuthenticationError("无效的令牌")
    if token.status != STATUS_ENABLED:
        raise AuthenticationError(_status_text(token))
    if token.expired_time != -1 and token.expired_time < now:
        _retire(store, token, TOKEN_EXPIRED)
        raise AuthenticationError("该令牌已过期")
    if not token.unlimited and token.remain <= 0:
        _retire(store, token, TOKEN_EXHAUSTED)
        raise AuthenticationError("该令牌额度已用尽")
    if token.subnet and not _inside(token, remote_ip):
        text = f"该令牌只能在指定网段使用：{token.subnet}，当前 ip：{remote_ip}"
        raise PermissionDeniedError(text)
    if token.user.status != STATUS_ENABLED:
        raise PermissionDeniedError("用户已被封禁")
    return Caller(token, suffix)


def check_model(caller: Caller, model: str) -> None:
    """Raises PermissionDeniedError: the token may not use ``model``, or the user may not name a channel."""
    allowed = caller.token.models
    if allowed is not None and model and model not in allowed:
        raise PermissionDeniedError(f"该令牌无权使用模型：{model}")
    if caller.channel_suffix and caller.token.user.role < ROLE_ADMIN:
        raise PermissionDeniedError("普通用户不支持指定渠道")


def pinned_channel_id(text: str) -> int:
    """The id in a channel suffix or a proxy path. Raises ClientError when it is no number."""
    if not text.isascii() or not text.isdigit():
        raise ClientError("无效的渠道 Id", code="invalid_channel_id")
    return int(text)


def _status_text(token: TokenEntry) -> str:
    if token.status == TOKEN_EXHAUSTED:
        return f"令牌 {token.name}（#{token.id}）额度已用尽"
    if token.status == TOKEN_EXPIRED:
        return "该令牌已过期"
    return "该令牌状态不可用"


def _retire(store: Store, token: TokenEntry, status: int) -> None:
    # In memory at once, so that a burst of requests writes the row only once.
    token.status = status
    tasks.spawn(store.tokens.update(token.id, {"status": status}), name="retire token")


def _inside(token: TokenEntry, remote_ip: str) -> bool:
    try:
        address = ip_address(remote_ip)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in token.networks)
