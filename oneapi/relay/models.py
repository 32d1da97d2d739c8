"""The model lists of ``/v1/models``, answered from memory."""

from oneapi.providers import catalogue
from oneapi.relay.auth import Caller
from oneapi.store.store import Store
from oneapi.wire import Json


def available(store: Store, caller: Caller) -> Json:
    """The answer of ``GET /v1/models``: the token's own list, else what the user's group can reach.

    Known names come first, in the catalogue's order, the others after them by name; each id once.
    """
    if caller.token.models is not None:
        names = set(caller.token.model_list)
    else:
        names = set(store.channels.model_names(caller.token.user.group))
    known = [model for model in catalogue.DISTINCT if model["id"] in names]
    listed = {model["id"] for model in known}
    custom = [catalogue.custom_model(name) for name in sorted(names - listed)]
    return {"object": "list", "data": known + custom}


def retrieve(model: str) -> Json | None:
    """One model object of the catalogue; None when it does not list the name."""
    return catalogue.BY_ID.get(model)
