"""Quota: prices, token counts, and the ledger that holds and settles."""

from functools import cache

from oneapi import resources
from oneapi.billing.ratio import Defaults, parse_defaults


@cache
def default_prices() -> Defaults:
    """The shipped price tables."""
    return parse_defaults(resources.read("oneapi/data/ratios.json"))
