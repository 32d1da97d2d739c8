"""Channel type 43 and the raw proxy route: the client's own request with the channel's address and key."""

from oneapi.wire import Channel, HeaderList, UpstreamRequest

# About our connection with the client, or rewritten for the upstream's.
NOT_FORWARDED = frozenset(
    (
        "authorization",
        "connection",
        "content-length",
        "expect",
        "host",
        "accept-encoding",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "cookie",
    )
)


def request(channel: Channel, method: str, target: str, headers: HeaderList, body: bytes) -> UpstreamRequest:
    """``target`` is the path after ``/v1/oneapi/proxy/<id>`` with its query; the key is sent as it is stored.

    ``headers`` are the client's with lower-case names; of several with one name the first is sent.
    """
    forwarded = {"authorization": channel.key}
    for name, value in headers:
        if name not in NOT_FORWARDED:
            forwarded.setdefault(name, value)
    return UpstreamRequest(method, channel.base_url.rstrip("/") + target, tuple(forwarded.items()), body)
