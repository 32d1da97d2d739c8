"""Users, as administrators see and change them."""

import time
import uuid
from typing import Any

from oneapi.handlers import accounts
from oneapi.handlers.base import Api, Refusal, done
from oneapi.handlers.encode import user_excerpt, user_json
from oneapi.handlers.fields import MAX_QUOTA, integer, quota, text
from oneapi.handlers.log_rows import log_row, quota_text
from oneapi.handlers.tokens import new_key
from oneapi.store.db import DuplicateError
from oneapi.store.records import (
    LOG_MANAGE,
    LOG_SYSTEM,
    LOG_TOPUP,
    ROLE_ADMIN,
    ROLE_ROOT,
    ROLE_USER,
    STATUS_DISABLED,
    STATUS_ENABLED,
    USER_DELETED,
    Log,
    User,
)
from oneapi.wire import Json

_CODE_TRIES = 20


async def page(api: Api) -> Json:
    """All users but deleted ones."""
    offset, limit = api.page()
    users = await api.store.users.page(offset=offset, limit=limit, order=api.query("order"))
    total = sum(entry.status != USER_DELETED for entry in api.store.index.users.values())
    return api.listing([user_json(user) for user in users], total=total)


async def search(api: Api) -> Json:
    """Users by id, or by the beginning of a name or address."""
    return done([user_json(user) for user in await api.store.users.search(api.query("keyword"))])


async def get(api: Api) -> Json:
    """One user below the caller."""
    user_id = api.path_id()
    if not user_id:
        raise Refusal("id 为空！")
    user = await _user(api, user_id)
    if _out_of_reach(api, user):
        raise Refusal("无权获取同级或更高等级用户的信息")
    return done(user_json(user))


async def create(api: Api) -> Json:
    """A new common user with a first token."""
    body = api.body_or("invalid_parameter", accounts.ADMIN_FIELDS)
    name, password = body.get("username", ""), body.get("password", "")
    if not name or not password:
        raise Refusal(api.text("invalid_parameter"))
    if accounts.fault(body):
        raise Refusal(api.text("invalid_input"))
    if body.get("role", 0) >= api.user.role:
        raise Refusal("无法创建权限大于等于自己的用户")
    user = await _insert(
        api,
        {
            "username": name,
            "password": await api.services.passwords.hash(password),
            "display_name": body.get("display_name") or name,
            "role": ROLE_USER,
            "status": STATUS_ENABLED,
        },
    )
    await _first_token(api, user)
    return done()


async def _insert(api: Api, columns: dict[str, Any]) -> User:
    gift = api.store.options.integer("QuotaForNewUser")
    logs: tuple[Log, ...] = ()
    if gift > 0:
        content = f"新用户注册赠送 {quota_text(gift, api.store.options)}"
        logs = (log_row(LOG_SYSTEM, content, api.request_id),)
    for _ in range(_CODE_TRIES):
        more = {
            "quota": max(gift, 0),
            "access_token": uuid.uuid4().hex,
            "aff_code": accounts.invitation_code(),
        }
        try:
            return await api.store.users.insert({**columns, **more}, logs=logs)
        except DuplicateError as exc:
            # An invitation code has four letters and may be taken: another one is not.
            existing = await api.store.users.by_name(columns["username"])
            if existing is not None:
                raise Refusal(accounts.NAME_TAKEN) from exc
    raise Refusal("请重试 (please try again)")


async def _first_token(api: Api, user: User) -> None:
    now = int(time.time())
    await api.store.tokens.insert(
        {
            "user_id": user.id,
            "name": "default",
            "key": new_key(),
            "created_time": now,
            "accessed_time": now,
            "expired_time": -1,
            "remain_quota": -1,
            "unlimited_quota": True,
        }
    )


async def update(api: Api) -> Json:
    """Change a user below the caller; absent fields stay, a quota of 0 is written."""
    body = api.body_or("invalid_parameter", accounts.ADMIN_FIELDS)
    if not body.get("id"):
        raise Refusal(api.text("invalid_parameter"))
    if accounts.fault(body):
        raise Refusal(api.text("invalid_input"))
    user = await _user(api, body["id"])
    if _out_of_reach(api, user):
        raise Refusal("无权更新同权限等级或更高权限等级的用户信息")
    if body.get("role", 0) >= api.user.role != ROLE_ROOT:
        raise Refusal("无权将其他用户权限等级提升到大于等于自己的权限等级")
    changed = accounts.changes(body)
    logs: tuple[Log, ...] = ()
    if "quota" in changed and changed["quota"] != user.quota:
        before, after = (quota_text(units, api.store.options) for units in (user.quota, changed["quota"]))
        logs = (log_row(LOG_MANAGE, f"管理员将用户额度从 {before}修改为 {after}", api.request_id),)
    await accounts.change(api, user, changed, logs=logs)
    return done()


async def delete(api: Api) -> Json:
    """Delete a user below the caller."""
    user = await _user(api, api.path_id())
    if user.role >= api.user.role:
        raise Refusal("无权删除同权限等级或更高权限等级的用户")
    if user.status != USER_DELETED:
        await accounts.delete(api.store, user.id)
    return done()


async def manage(api: Api) -> Json:
    """Disable, enable, delete, promote or demote; an unknown action changes nothing."""
    body = api.body_or("invalid_parameter", {"username": text, "action": text})
    name = body.get("username", "")
    user = await api.store.users.by_name(name) if name else None
    if user is None or user.username != name:
        raise Refusal("用户不存在")
    if _out_of_reach(api, user):
        raise Refusal("无权更新同权限等级或更高权限等级的用户信息")
    action = body.get("action", "")
    refusal = _refusal(action, user, api.user)
    if refusal:
        raise Refusal(refusal)
    if action == "delete":
        await accounts.delete(api.store, user.id)
    elif action in _ACTIONS:
        await accounts.change(api, user, dict(_ACTIONS[action]))
    return done(user_excerpt(await _user(api, user.id), "role", "status"))


_ACTIONS = {
    "disable": {"status": STATUS_DISABLED},
    "enable": {"status": STATUS_ENABLED},
    "promote": {"role": ROLE_ADMIN},
    "demote": {"role": ROLE_USER},
}


def _refusal(action: str, user: User, caller: User) -> str:
    """Why ``action`` is not possible for ``user``; ``""`` when it is."""
    root = user.role == ROLE_ROOT
    checks = {
        "disable": ((root, "无法禁用超级管理员用户"),),
        "delete": ((root, "无法删除超级管理员用户"),),
        "promote": (
            (caller.role != ROLE_ROOT, "普通管理员用户无法提升其他用户为管理员"),
            (user.role >= ROLE_ADMIN, "该用户已经是管理员"),
        ),
        "demote": ((root, "无法降级超级管理员用户"), (user.role == ROLE_USER, "该用户已经是普通用户")),
    }
    return next((text for fails, text in checks.get(action, ()) if fails), "")


async def top_up(api: Api) -> Json:
    """Add quota to a balance. A user who does not exist is no error, as in One API."""
    body = api.body({"user_id": integer, "quota": quota, "remark": text})
    user_id, added = body.get("user_id", 0), body.get("quota", 0)
    if added < 0:
        raise Refusal("quota 不能为负数！")
    entry = api.store.index.users.get(user_id)
    if entry is not None and entry.quota + added > MAX_QUOTA:
        raise Refusal(f"额度过大 (the balance would be too large): {MAX_QUOTA}")
    content = body.get("remark") or f"通过 API 充值 {quota_text(added, api.store.options)}"
    name = entry.username if entry else ""
    row = log_row(LOG_TOPUP, content, api.request_id, user_id=user_id, username=name, quota=added)
    await api.store.users.add_quota(user_id, added, log=row)
    return done()


async def _user(api: Api, user_id: int) -> User:
    user = await api.store.users.get(user_id)
    if user is None:
        raise Refusal("record not found")
    return user


def _out_of_reach(api: Api, user: User) -> bool:
    """Whether ``user`` is not below the caller. Root reaches everybody."""
    return user.role >= api.user.role and api.user.role != ROLE_ROOT
