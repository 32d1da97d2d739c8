"""Who is really asking, behind proxies."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Networks = Sequence[IPv4Network | IPv6Network]


def client_ip(headers: Mapping[str, str], peer: str, trusted: Networks) -> str:
    """The client's address: ``peer``, or what trusted proxies say (X-Forwarded-For, X-Real-IP) about theirs.

    Each proxy appends whom it heard from, so the list is read from its end: the first address that is no
    trusted proxy is the client, and what stands before it may be forged.
    """
    forwarded = headers.get("x-forwarded-for") or headers.get("x-real-ip")
    if not forwarded or not _trusts(peer, trusted):
        return peer
    client = peer
    for entry in reversed(forwarded.split(",")):
        address = entry.strip()
        if _parsed(address) is None:
            break
        client = address
        if not _trusts(address, trusted):
            break
    return client


def came_by_tls(headers: Mapping[str, str], peer: str, trusted: Networks) -> bool:
    """Whether a trusted proxy says that the client's side of it is encrypted."""
    return headers.get("x-forwarded-proto", "").strip().lower() == "https" and _trusts(peer, trusted)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _trusts(text: str, networks: Networks) -> bool:
    address = _parsed(text)
    return address is not None and any(address in network for network in networks)
