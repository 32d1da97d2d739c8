"""Request bodies: a JSON object whose known fields have one type each.

As in One API, names match in any case, unknown names are ignored and ``null`` counts as absent. A field of
another type is an error: ``"5"`` and ``5.0`` are no integers.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

Kind = Callable[[Any], Any]

MAX_QUOTA = 10**17  # 200 billion dollars
_INT64 = range(-(2**63), 2**63)


class BodyError(ValueError):
    """A body that cannot be read; the text says what is wrong with it."""


def integer(value: Any) -> int:
    """A whole number that fits a column."""
    if type(value) is not int or value not in _INT64:
        raise BodyError("应为整数 (expected an integer)")
    return value


def natural(value: Any) -> int:
    """A whole number from 0 on."""
    if integer(value) < 0:
        raise BodyError("不能为负数 (must not be negative)")
    return int(value)


def quota(value: Any) -> int:
    """An amount of quota: far from where a sum of many would leave the column's 64 bits."""
    if abs(integer(value)) > MAX_QUOTA:
        raise BodyError(f"超出范围 (out of range): ±{MAX_QUOTA}")
    return int(value)


def text(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise BodyError("应为字符串 (expected a string)")
    return value


def flag(value: Any) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise BodyError("应为布尔值 (expected true or false)")
    return value


def setting(value: Any) -> str:
    """The text of an option; numbers and booleans are taken in the form that options are stored in."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return orjson.dumps(int(value) if isinstance(value, float) and value.is_integer() else value).decode()
    return text(value)


def read(body: bytes, fields: Mapping[str, Kind]) -> dict[str, Any]:
    """The fields that ``body`` has, by their names in ``fields``. Raises BodyError."""
    if not body.strip():
        raise BodyError("请求体为空 (the request body is empty)")
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise BodyError("请求体不是有效的 JSON (the request body is not valid JSON)") from exc
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise BodyError("请求体应为 JSON 对象 (the request body must be a JSON object)")
    found: dict[str, Any] = {}
    for key, value in data.items():
        name = key if key in fields else key.lower()
        if value is None or name not in fields:
            continue
        try:
            found[name] = fields[name](value)
        except BodyError as exc:
            raise BodyError(f"{name}: {exc}") from exc
    return found
