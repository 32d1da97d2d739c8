"""Redemption codes: administrators make them, each adds its quota to one user's balance."""

import time
import uuid

from oneapi.handlers.base import Api, Refusal, done
from oneapi.handlers.encode import redemption_json
from oneapi.handlers.fields import integer, quota, text
from oneapi.handlers.log_rows import quota_text
from oneapi.store.records import Redemption
from oneapi.store.redemptions import CodeUsedError
from oneapi.wire import Json

MAX_NAME_BYTES = 20
MAX_COUNT = 100
_FIELDS = {"id": integer, "status": integer, "name": text, "quota": quota, "count": integer}


async def page(api: Api) -> Json:
    """All codes, with their keys."""
    offset, limit = api.page()
    codes = await api.store.redemptions.page(offset=offset, limit=limit)
    return api.listing([redemption_json(code) for code in codes])


async def search(api: Api) -> Json:
    """Codes by id, or by the beginning of their name."""
    return done([redemption_json(code) for code in await api.store.redemptions.search(api.query("keyword"))])


async def get(api: Api) -> Json:
    """One code."""
    return done(redemption_json(await _code(api, api.path_id())))


async def create(api: Api) -> Json:
    """Several codes of one name; the answer is their keys."""
    body = api.body(_FIELDS)
    name, count = body.get("name", ""), body.get("count", 0)
    if not 1 <= len(name.encode()) <= MAX_NAME_BYTES:
        raise Refusal("兑换码名称长度必须在1-20之间")
    if count <= 0:
        raise Refusal("兑换码个数必须大于0")
    if count > MAX_COUNT:
        raise Refusal("一次兑换码批量生成的个数不能大于 100")
    common = {
        "user_id": api.user.id,
        "name": name,
        "quota": body.get("quota", 0),
        "created_time": int(time.time()),
    }
    codes = await api.store.redemptions.insert([{**common, "key": uuid.uuid4().hex} for _ in range(count)])
    return done([code.key for code in codes])


async def update(api: Api) -> Json:
    """Write name and quota, or with ``status_only`` the status alone; absent fields become zero."""
    body = api.body(_FIELDS)
    stored = await _code(api, body.get("id", 0))
    if api.query("status_only"):
        changes = {"status": body.get("status", 0)}
    else:
        changes = {"name": body.get("name", ""), "quota": body.get("quota", 0)}
    code = await api.store.redemptions.update(stored.id, changes)
    if code is None:
        raise Refusal("record not found")
    return done(redemption_json(code))


async def delete(api: Api) -> Json:
    """Delete a code."""
    code = await _code(api, api.path_id_or_0())
    await api.store.redemptions.delete(code.id)
    return done()


async def redeem(api: Api) -> Json:
    """Add a code's quota to the own balance; the answer is the quota."""
    key = api.body({"key": text}).get("key", "")
    if not key:
        raise Refusal("未提供兑换码")
    try:
        redeemed = await api.store.redemptions.redeem(
            key,
            api.user.id,
            now=int(time.time()),
            request_id=api.request_id,
            content=lambda units: f"通过兑换码充值 {quota_text(units, api.store.options)}",
        )
    except CodeUsedError as exc:
        raise Refusal("兑换失败，该兑换码已被使用") from exc
    if redeemed is None:
        raise Refusal("兑换失败，无效的兑换码")
    return done(redeemed)


async def _code(api: Api, redemption_id: int) -> Redemption:
    if not redemption_id:
        raise Refusal("id 为空！")
    code = await api.store.redemptions.get(redemption_id)
    if code is None:
        raise Refusal("record not found")
    return code
