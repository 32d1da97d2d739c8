"""The caller's own tokens: the ``sk-`` credentials that clients use."""

import ipaddress
import re
import secrets
import string
import time
import uuid
from typing import Any

from oneapi.handlers.base import Api, Refusal, done
from oneapi.handlers.encode import token_json
from oneapi.handlers.fields import flag, integer, quota, text
from oneapi.store.records import STATUS_ENABLED, TOKEN_EXHAUSTED, TOKEN_EXPIRED, Token
from oneapi.wire import Json

MAX_NAME_BYTES = 30

_FIELDS = {
    "id": integer,
    "status": integer,
    "name": text,
    "expired_time": integer,
    "remain_quota": quota,
    "unlimited_quota": flag,
    "models": text,
    "subnet": text,
}
_CIDR = re.compile(r"[0-9a-fA-F.:]+/\d{1,3}")
_NO_ID = "id 或 userId 为空！"


def new_key() -> str:
    """48 letters and digits in One API's form: 16 random ones and a UUID with capitals at its even places."""
    letters = string.ascii_letters + string.digits
    random_part = "".join(secrets.choice(letters) for _ in range(16))
    unique_part = uuid.uuid4().hex
    return random_part + "".join(c.upper() if i % 2 == 0 else c for i, c in enumerate(unique_part))


async def page(api: Api) -> Json:
    """The own tokens, with their keys."""
    offset, limit = api.page()
    tokens = await api.store.tokens.page(api.user.id, offset=offset, limit=limit, order=api.query("order"))
    total = sum(entry.user.id == api.user.id for entry in api.store.index.tokens_by_id.values())
    return api.listing([token_json(token) for token in tokens], total=total)


async def search(api: Api) -> Json:
    """The own tokens whose name begins with the keyword."""
    tokens = await api.store.tokens.search(api.user.id, api.query("keyword"))
    return done([token_json(token) for token in tokens])


async def get(api: Api) -> Json:
    """One own token."""
    return done(token_json(await _token(api, api.path_id())))


async def create(api: Api) -> Json:
    """A new token; the key is made here."""
    body = api.body(_FIELDS)
    _check(body)
    now = int(time.time())
    given = {name: value for name, value in body.items() if name not in ("id", "status")}
    token = await api.store.tokens.insert(
        {
            **given,
            "user_id": api.user.id,
            "key": new_key(),
            "status": STATUS_ENABLED,
            "created_time": now,
            "accessed_time": now,
        }
    )
    return done(token_json(token))


async def update(api: Api) -> Json:
    """Write all that a form has, or with ``status_only`` the status alone."""
    body = api.body(_FIELDS)
    _check(body)
    stored = await _token(api, body.get("id", 0))
    status_only = bool(api.query("status_only"))
    changes = {"status": body.get("status", 0)} if status_only else _changes(body)
    if body.get("status") == STATUS_ENABLED:
        _check_enabling(stored, changes)
        # Renewed and enabled in one step: what ran out is enabled again, not what its owner switched off.
        if stored.status in (TOKEN_EXPIRED, TOKEN_EXHAUSTED):
            changes["status"] = STATUS_ENABLED
    token = await api.store.tokens.update(stored.id, changes)
    if token is None:
        raise Refusal("record not found")
    return done(token_json(token))


async def delete(api: Api) -> Json:
    """Delete an own token."""
    token = await _token(api, api.path_id_or_0())
    await api.store.tokens.delete(token.id)
    return done()


async def _token(api: Api, token_id: int) -> Token:
    if not token_id:
        raise Refusal(_NO_ID)
    token = await api.store.tokens.get(token_id, api.user.id)
    if token is None:
        raise Refusal("record not found")
    return token


def _changes(body: Json) -> dict[str, Any]:
    """All columns of a full change: absent ones become zero or NULL, but an absent expiry stays as it is."""
    changes: dict[str, Any] = {
        "name": body.get("name", ""),
        "remain_quota": body.get("remain_quota", 0),
        "unlimited_quota": body.get("unlimited_quota", False),
        "models": body.get("models"),
        "subnet": body.get("subnet"),
    }
    if "expired_time" in body:
        changes["expired_time"] = body["expired_time"]
    return changes


def _check(body: Json) -> None:
    if len(body.get("name", "").encode()) > MAX_NAME_BYTES:
        raise Refusal("参数错误：令牌名称过长")
    subnet = body.get("subnet", "")
    for network in subnet.split(",") if subnet else ():
        if not _is_network(network.strip()):
            raise Refusal(f"参数错误：无效的网段：failed to parse subnet: invalid CIDR address: {network}")


def _is_network(network: str) -> bool:
    try:
        ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
    return _CIDR.fullmatch(network) is not None


def _check_enabling(stored: Token, changes: Json) -> None:
    """Refuse to enable what would be out of time or of quota after the change."""
    expired_time = changes.get("expired_time", stored.expired_time)
    remain = changes.get("remain_quota", stored.remain_quota)
    unlimited = changes.get("unlimited_quota", stored.unlimited_quota)
    if stored.status == TOKEN_EXPIRED and expired_time != -1 and expired_time <= time.time():
        raise Refusal("令牌已过期，无法启用，请先修改令牌过期时间，或者设置为永不过期")
    if stored.status == TOKEN_EXHAUSTED and remain <= 0 and not unlimited:
        raise Refusal("令牌可用额度已用尽，无法启用，请先修改令牌剩余额度，或者设置为无限额度")
