"""The caller's own account: logging in and out, name and password, access token, invitations, use."""

import time
import uuid

from oneapi.handlers import accounts
from oneapi.handlers.base import Api, Refusal, done
from oneapi.handlers.encode import user_excerpt, user_json
from oneapi.handlers.fields import text
from oneapi.handlers.sessions import COOKIE
from oneapi.store.db import DuplicateError
from oneapi.store.records import ROLE_ROOT, STATUS_ENABLED
from oneapi.wire import Json

DEFAULT_ROOT_PASSWORD = "123456"  # noqa: S105  documented, and answered with must_change_password
DAY_S = 24 * 3600


async def login(api: Api) -> Json:
    """Open a session. What is wrong is not told: neither which names exist nor who is banned."""
    if not api.store.options.flag("PasswordLoginEnabled"):
        raise Refusal("管理员关闭了密码登录")
    body = api.body_or("invalid_parameter", {"username": text, "password": text})
    name, password = body.get("username", ""), body.get("password", "")
    if not name or not password:
        raise Refusal(api.text("invalid_parameter"))
    user = await api.store.users.by_name(name)
    matches = await api.services.passwords.matches(password, user.password if user else "")
    if user is None or not matches or user.status != STATUS_ENABLED:
        raise Refusal("用户名或密码错误，或用户已被封禁")
    default = user.role == ROLE_ROOT and password == DEFAULT_ROOT_PASSWORD
    api.open_session(user, default_password=default)
    excerpt = user_excerpt(user, "id", "username", "display_name", "role", "status")
    return done({**excerpt, "must_change_password": default})


async def logout(api: Api) -> Json:
    """Forget the session."""
    if api.get_cookie(COOKIE):
        api.clear_cookie(COOKIE)
    return done()


async def read(api: Api) -> Json:
    """The own record."""
    default = api.session is not None and api.session.default_password
    return done({**user_json(api.user), "must_change_password": default})


async def update(api: Api) -> Json:
    """Change name, display name or password; what is absent stays. A new password ends all other sessions."""
    body = api.body_or("invalid_parameter", accounts.OWN_FIELDS)
    fault = accounts.fault(body)
    if fault:
        raise Refusal(f"输入不合法 {fault}")
    user = await accounts.change(api, api.user, accounts.changes(body))
    if user.password != api.user.password and api.session is not None:
        api.open_session(user)
    return done()


async def delete(api: Api) -> Json:
    """Delete the own account."""
    if api.user.role == ROLE_ROOT:
        raise Refusal("不能删除超级管理员账户")
    await accounts.delete(api.store, api.user.id)
    return done()


async def access_token(api: Api) -> Json:
    """A new system access token; the old one is void."""
    token = uuid.uuid4().hex
    try:
        await api.store.users.update(api.user.id, {"access_token": token})
    except DuplicateError as exc:
        raise Refusal("请重试，系统生成的 UUID 竟然重复了！") from exc
    return done(token)


async def invitation_code(api: Api) -> Json:
    """The own invitation code, made when first asked for."""
    return done(api.user.aff_code or await _new_code(api))


async def _new_code(api: Api) -> str:
    while True:
        code = accounts.invitation_code()
        try:
            await api.store.users.update(api.user.id, {"aff_code": code})
        except DuplicateError:
            continue
        return code


async def available_models(api: Api) -> Json:
    """The models that the own group can reach, sorted."""
    return done([name for name in api.store.channels.model_names(api.user.group) if name])


async def dashboard(api: Api) -> Json:
    """The own use of the last seven UTC days by day and model; ``null`` without any."""
    tomorrow = (int(time.time()) // DAY_S + 1) * DAY_S
    days = await api.store.logs.days(api.user.id, tomorrow - 7 * DAY_S, tomorrow - 1)
    rows = [
        {
            "Day": day.day,
            "ModelName": day.model_name,
            "RequestCount": day.request_count,
            "Quota": day.quota,
            "PromptTokens": day.prompt_tokens,
            "CompletionTokens": day.completion_tokens,
        }
        for day in days
    ]
    return done(rows or None)
