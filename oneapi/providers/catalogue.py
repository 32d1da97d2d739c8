"""The built-in models: the names that each channel type offers, as objects for OpenAI's clients."""

from collections.abc import Mapping, Sequence

import orjson

from oneapi import resources
from oneapi.wire import Json

_CREATED = 1626777600
# One API's order: a vendor's own protocol first, then those who speak OpenAI's.
_LISTED_TYPES = (
    *(1, 14, 11, 15, 16, 17, 18, 23, 24, 30, 33, 34, 35, 37, 38, 42, 43, 46),
    *(19, 25, 26, 27, 40, 28, 29, 31, 32, 36, 39, 41, 44, 45, 47, 48),
)
_PERMISSION = {
    "id": "modelperm-LwHkVFn8AcMItP432fKKDIKJ",
    "object": "model_permission",
    "created": _CREATED,
    "allow_create_engine": True,
    "allow_sampling": True,
    "allow_logprobs": True,
    "allow_search_indices": False,
    "allow_view": True,
    "allow_fine_tuning": False,
    "organization": "*",
    "group": None,
    "is_blocking": False,
}

_TYPES: Mapping[str, Json] = orjson.loads(resources.read("oneapi/data/channel_models.json"))


def _model(name: str, owner: str, permission: Sequence[Json] | None) -> Json:
    return {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "owned_by": owner,
        "permission": permission,
        "root": name,
        "parent": None,
    }


def custom_model(name: str) -> Json:
    """The object of a model that is not built in."""
    return _model(name, "custom", None)


_PROXY_TYPE = "43"
MODELS_BY_CHANNEL_TYPE: Mapping[str, Sequence[str] | None] = {
    number: None if number == _PROXY_TYPE else entry["models"] for number, entry in sorted(_TYPES.items())
}
"""Names by channel type, keys in the order of One API's answer; None for the proxy type, without a list."""

ENTRIES: Sequence[Json] = [
    _model(name, _TYPES[str(number)]["owned_by"], [_PERMISSION])
    for number in _LISTED_TYPES
    for name in _TYPES[str(number)]["models"] or ()
]
"""All built-in models; a name that several vendors offer is there several times."""

BY_ID: Mapping[str, Json] = {entry["id"]: entry for entry in ENTRIES}
"""The last vendor's object of each name."""

DISTINCT: Sequence[Json] = list({entry["id"]: entry for entry in reversed(ENTRIES)}.values())[::-1]
"""Each name once, with the vendor that is listed first."""
