"""Vendors' protocols. ``BY_CHANNEL_TYPE`` finds the one of a channel.

The list is kept by hand: a frozen program cannot scan folders.
"""

from collections.abc import Mapping

from oneapi.providers import azure
from oneapi.providers.base import Provider
from oneapi.providers.openai_compatible import VENDORS

PROVIDERS: tuple[Provider, ...] = (*VENDORS, azure)

BY_CHANNEL_TYPE: Mapping[int, Provider] = {
    channel_type: provider for provider in PROVIDERS for channel_type in provider.channel_types
}
