"""What every request needs, in memory: tokens, users, channels, routes and options. Owned by the event loop.

Entries are changed in place by the loop's thread only; a change is visible to the next request at once.
Balances live here: ``quota`` and ``remain`` are what is settled, ``held`` is what exchanges in flight have
reserved.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from oneapi.store.records import ChannelRow, Token, User
from oneapi.store.routing import Tiers, listed, pairs, parsed, routes, tiers
from oneapi.wire import Channel

# From this many changed channels on, building all routes anew is cheaper than changing them.
_REBUILD_FROM = 8


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
    """A token as requests see it. ``models`` None allows all; ``model_list`` keeps the stored order.

    ``networks`` are the valid ones in ``subnet``: a subnet that is set and has none admits nobody.
    """

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


class Index:
    """The in-memory view of the database. Look-ups never block and never touch the database."""

    tokens: dict[str, TokenEntry]  # by key, without sk-
    tokens_by_id: dict[int, TokenEntry]
    users: dict[int, UserEntry]
    channels: dict[int, Channel]  # enabled or not
    routes: Mapping[str, Mapping[str, Tiers]]  # group -> model -> tiers of enabled channels

    def __init__(self) -> None:
        self.tokens = {}
        self.tokens_by_id = {}
        self.users = {}
        self.channels = {}
        self._routes: dict[str, dict[str, Tiers]] = {}
        self.routes = self._routes

    def put_user(self, user: User) -> None:
        """Take over everything but the balance, which is ours; a new user brings his along."""
        entry = self.users.get(user.id)
        if entry is None:
            self.users[user.id] = UserEntry(
                user.id, user.username, user.role, user.status, user.group, user.quota, user.email
            )
            return
        entry.username = user.username
        entry.role = user.role
        entry.status = user.status
        entry.group = user.group
        entry.email = user.email

    def put_token(self, token: Token) -> None:
        """Take over everything but the balances, which are ours; a new token brings its own along.

        A token of a user who does not exist is left out: nobody could pay for it.
        """
        user = self.users.get(token.user_id)
        entry = self.tokens_by_id.get(token.id)
        if user is None:
            return
        names, allowed = _models(token.models or "")
        subnet = token.subnet or ""
        if entry is None:
            entry = TokenEntry(
                id=token.id,
                key=token.key,
                user=user,
                name=token.name,
                status=token.status,
                expired_time=token.expired_time,
                unlimited=token.unlimited_quota,
                remain=token.remain_quota,
                used=token.used_quota,
                models=allowed,
                model_list=names,
                subnet=subnet,
                networks=_networks(subnet),
            )
            self.tokens_by_id[token.id] = entry
        else:
            self.tokens.pop(entry.key, None)
            entry.key, entry.name, entry.status = token.key, token.name, token.status
            entry.expired_time, entry.unlimited = token.expired_time, token.unlimited_quota
            entry.models, entry.model_list = allowed, names
            entry.subnet, entry.networks = subnet, _networks(subnet)
        self.tokens[entry.key] = entry

    def drop_token(self, token_id: int) -> None:
        """Forget a token; exchanges in flight keep their entry."""
        entry = self.tokens_by_id.pop(token_id, None)
        if entry is not None:
            self.tokens.pop(entry.key, None)

    def put_channels(self, changed: Sequence[ChannelRow]) -> None:
        """Add or replace channels, and their routes."""
        self._change_channels([parsed(row) for row in changed], ())

    def drop_channels(self, channel_ids: Sequence[int]) -> None:
        """Forget channels and their routes."""
        self._change_channels((), channel_ids)

    def _change_channels(self, added: Sequence[Channel], dropped: Sequence[int]) -> None:
        changes: list[tuple[Channel | None, Channel | None]] = [
            (self.channels.pop(channel_id, None), None) for channel_id in dropped
        ]
        for channel in added:
            changes.append((self.channels.get(channel.id), channel))
            self.channels[channel.id] = channel
        if len(changes) >= _REBUILD_FROM:
            self._rebuild_routes()
            return
        for old, new in changes:
            if old != new:
                self._reroute(old, new)

    def _rebuild_routes(self) -> None:
        self._routes.clear()
        self._routes.update(routes(self.channels.values()))

    def _reroute(self, old: Channel | None, new: Channel | None) -> None:
        served = dict.fromkeys(pairs(new), new)
        for group, model in {**dict.fromkeys(pairs(old)), **served}:
            by_model = self._routes.setdefault(group, {})
            others = [
                channel
                for tier in by_model.get(model, ())
                for channel in tier
                if old is None or channel.id != old.id
            ]
            channel = served.get((group, model))
            if channel is not None:
                others.append(channel)
            if others:
                by_model[model] = tiers(others)
            else:
                by_model.pop(model, None)
            if not by_model:
                del self._routes[group]


# Tokens by the thousand say the same here.
@lru_cache(1024)
def _models(text: str) -> tuple[tuple[str, ...], frozenset[str] | None]:
    names = listed(text)
    return names, frozenset(names) if text.strip() else None


@lru_cache(1024)
def _networks(subnet: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(_valid_networks(subnet.split(","))) if subnet else ()


def _valid_networks(texts: Iterable[str]) -> Iterable[IPv4Network | IPv6Network]:
    for text in texts:
        try:
            yield ip_network(text.strip(), strict=False)
        except ValueError:
            continue
