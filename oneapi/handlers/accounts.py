"""What user management and the own account share: which fields, which values, how they are written."""

import secrets
import string
import uuid
from typing import Any

from oneapi.handlers.base import Api, Refusal
from oneapi.handlers.fields import integer, quota, text
from oneapi.store.db import DuplicateError
from oneapi.store.records import USER_DELETED, Log, User
from oneapi.store.store import Store
from oneapi.wire import Json

OWN_FIELDS = {"username": text, "password": text, "display_name": text}
# Access tokens, invitation codes, counters and foreign log-ins are nobody's to set.
ADMIN_FIELDS = {
    **OWN_FIELDS,
    "id": integer,
    "role": integer,
    "status": integer,
    "email": text,
    "quota": quota,
    "group": text,
}
NAME_TAKEN = "用户名已被使用 (this user name is taken)"

_LENGTHS = {
    "username": (0, 12),
    "password": (8, 20),
    "display_name": (0, 20),
    "email": (0, 50),
    "group": (0, 32),
}
# An explicit "" of these is written, a 0 or "" of any other field leaves it as it is.
_EMPTIABLE = ("display_name", "email", "quota")


def fault(body: Json) -> str:
    """What is wrong with the values of ``body``; ``""`` when they are fine. Empty ones are not looked at."""
    for name, (least, most) in _LENGTHS.items():
        value = body.get(name)
        if value and not least <= len(value) <= most:
            return (
                f"{name}: {least}–{most} 个字符 (characters)"
                if least
                else f"{name}: 最多 {most} 个字符 (at most)"
            )
    return ""


def changes(body: Json) -> dict[str, Any]:
    """The columns that ``body`` changes. The password is still in plain text."""
    return {name: value for name, value in body.items() if name != "id" and (value or name in _EMPTIABLE)}


async def change(api: Api, user: User, changed: dict[str, Any], *, logs: tuple[Log, ...] = ()) -> User:
    """Write ``changed``, hash a password in it, and give back the new record. Refuses a taken name."""
    if "password" in changed:
        changed = {**changed, "password": await api.services.passwords.hash(changed["password"])}
    if not changed:
        return user
    try:
        written = await api.store.users.update(user.id, changed, logs=logs)
    except DuplicateError as exc:
        raise Refusal(NAME_TAKEN) from exc
    if written is None:
        raise Refusal("record not found")
    return written


async def delete(store: Store, user_id: int) -> None:
    """Close an account. The row stays, for its logs, and its name becomes free."""
    name = f"deleted_{uuid.uuid4().hex}"
    await store.users.update(user_id, {"status": USER_DELETED, "username": name})


def invitation_code() -> str:
    """Four random letters and digits."""
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(4))
