"""What every request needs, in memory: tokens, users, channels, routes and options. Owned by the event loop.

Entries are changed in place by the loop's thread only; a change is visible to the next request at once. Balances
live here: ``quota`` and ``remain`` are what is settled, ``held`` is what exchanges in flight have reserved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from oneapi.wire import Channel


@dataclass(slots=True)
class UserEntry:
    """A user as requests see him. ``available`` is what a new hold may still take."""

    id: int
    username: str
    role: int
    status: int
    group: str
    quota: int
    email: str = ""
    held: int = 0

    @property
    def available(self) -> int:
        """Quota that is neither spent nor reserved."""
        return self.quota - self.held


@dataclass(slots=True)
class TokenEntry:
    """A token as requests see it. ``models`` None allows all; ``model_list`` keeps the stored order."""

    id: int
    key: str = field(repr=False)
    user: UserEntry
    name: str
    status: int
    expired_time: int
    unlimited: bool
    remain: int
    used: int
    models: frozenset[str] | None
    model_list: tuple[str, ...]
    subnet: str
    networks: tuple[IPv4Network | IPv6Network, ...]
    held: int = 0

    @property
    def available(self) -> int:
        """Quota that is neither spent nor reserved; meaningless for an unlimited token."""
        return self.remain - self.held


Tiers = tuple[tuple[Channel, ...], ...]  # best priority first


class Index:
    """The in-memory view of the database. Look-ups never block and never touch the database."""

    tokens: dict[str, TokenEntry]  # by key, without sk-
    users: dict[int, UserEntry]
    channels: dict[int, Channel]  # enabled or not
    routes: Mapping[str, Mapping[str, Tiers]]  # group -> model -> tiers of enabled channels
