"""The raw proxy route: any request to a channel's address, with the channel's key for the caller's."""

import time

from oneapi.billing.ledger import Ledger
from oneapi.errors import PermissionDeniedError
from oneapi.providers import proxy
from oneapi.relay import auth
from oneapi.relay.exchange import Client, Inbound
from oneapi.relay.route import Router
from oneapi.store.records import LOG_CONSUME, ROLE_ADMIN, Log
from oneapi.store.store import Store
from oneapi.upstream.client import Client as UpstreamClient
from oneapi.wire import Channel

PROXY_CHANNEL_TYPE = 43

# Of the other connection (RFC 9110 section 7.6.1), or about a server that is not us.
_NOT_RETURNED = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "date",
        "server",
        "set-cookie",
        "x-oneapi-request-id",
        "access-control-allow-origin",
        "access-control-allow-credentials",
    )
)


class RawProxy:
    """Serves ``/v1/oneapi/proxy/:channel/*``. Not billed, but logged."""

    def __init__(self, store: Store, ledger: Ledger, upstream: UpstreamClient, router: Router) -> None:
        self._store = store
        self._ledger = ledger
        self._upstream = upstream
        self._router = router

    async def serve(self, inbound: Inbound, client: Client, channel_text: str, target: str) -> None:
        """Pass the request on and the answer back, both unchanged but for the headers of the connection.

        Raises GatewayError before the answer has begun.
        """
        now = int(time.time())
        authorization = inbound.headers.get("authorization", "")
        caller = auth.authenticate(self._store, authorization, inbound.remote_ip, now)
        channel = self._router.pinned(auth.pinned_channel_id(channel_text))
        _check_permission(caller, channel)
        headers = tuple((name.lower(), value) for name, value in inbound.headers.items())
        target_url = f"{target}?{inbound.query}" if inbound.query else target
        request = proxy.request(channel, inbound.method, target_url, headers, inbound.body)
        response = await self._upstream.send(request, decode=False)
        try:
            client.begin(response.status, [h for h in response.headers if h[0] not in _NOT_RETURNED])
            while piece := await response.piece():
                wait = client.send(piece)
                if wait is not None:
                    await wait
            client.end()
        finally:
            response.close()
            self._log(inbound, caller, channel, now)

    def _log(self, inbound: Inbound, caller: auth.Caller, channel: Channel, now: int) -> None:
        row = Log(
            id=0,
            user_id=caller.token.user.id,
            created_at=now,
            type=LOG_CONSUME,
            content=f"代理请求：{inbound.method} {inbound.path}",
            username=caller.token.user.username,
            token_name=caller.token.name,
            model_name="",
            quota=0,
            prompt_tokens=0,
            completion_tokens=0,
            channel=channel.id,
            request_id=inbound.request_id,
            elapsed_time=int((time.monotonic() - inbound.started) * 1000),
            is_stream=False,
            system_prompt_reset=False,
        )
        hold = self._ledger.hold(caller.token, 0)
        self._ledger.settle(hold, 0, channel_id=channel.id, settled_at=now, log=row)


def _check_permission(caller: auth.Caller, channel: Channel) -> None:
    user = caller.token.user
    if user.role >= ROLE_ADMIN:
        return
    if channel.type != PROXY_CHANNEL_TYPE or user.group not in channel.groups:
        raise PermissionDeniedError("该渠道仅限管理员使用", code="channel_not_allowed")
