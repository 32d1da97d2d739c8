"""One exchange, top to bottom: who asks, for what, on which channel, at what price; try, relay, settle."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from oneapi.billing.ledger import Ledger
from oneapi.errors import ClientError, UpstreamError
from oneapi.providers import BY_CHANNEL_TYPE
from oneapi.providers.base import Provider
from oneapi.providers.failures import no_answer
from oneapi.relay import auth, dialect
from oneapi.relay.bill import Bills
from oneapi.relay.delivery import Delivery
from oneapi.relay.edit import edited_call
from oneapi.relay.exchange import Client, Demand, Inbound
from oneapi.relay.health import Health
from oneapi.relay.route import Router
from oneapi.relay.stream import StreamRelay
from oneapi.relay.unstreamed import chunks_of
from oneapi.store.index import TokenEntry
from oneapi.store.store import Store
from oneapi.upstream.client import Client as UpstreamClient
from oneapi.upstream.response import Response, Timeouts
from oneapi.wire import Call, Channel, Chunk, Json, Mode, UpstreamReply

REPLY_LIMIT_BYTES = 256 << 20  # of a whole answer: images in base64 are large
_SUCCESS = (200, 201)
_STREAMED = (Mode.CHAT, Mode.COMPLETIONS)


@dataclass(slots=True)
class Exchange:
    """What the steps of one exchange share."""

    inbound: Inbound
    client: Client
    token: TokenEntry
    demand: Demand
    now: int  # Unix seconds of its start


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pipeline is built from."""

    store: Store
    ledger: Ledger
    upstream: UpstreamClient
    bills: Bills
    health: Health
    router: Router
    timeouts: Timeouts
    enforce_usage: bool = False  # ask every upstream for a stream's usage


class Pipeline:
    """Runs exchanges. It knows no vendor and no web framework."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._ledger = parts.ledger
        self._upstream = parts.upstream
        self._bills = parts.bills
        self._health = parts.health
        self._router = parts.router
        self._timeouts = parts.timeouts
        self._enforce_usage = parts.enforce_usage

    async def serve(self, inbound: Inbound, client: Client) -> None:
        """Serve ``inbound``. Raises GatewayError when the client has not got its whole answer."""
        now = int(time.time())
        authorization = inbound.headers.get("authorization", "")
        caller = auth.authenticate(self._store, authorization, inbound.remote_ip, now)
        demand = dialect.read(inbound)
        auth.check_model(caller, demand.model)
        token = caller.token
        channels: Iterable[Channel]
        if caller.channel_suffix:
            channels = (self._router.pinned(auth.pinned_channel_id(caller.channel_suffix)),)
        else:
            channels = self._router.candidates(token.user.group, demand.model, inbound.started)
        dialect.check(demand)
        exchange = Exchange(inbound, client, token, demand, now)
        left = 1 + max(self._store.options.relay.retry_times, 0)
        failure: UpstreamError | None = None
        for channel in channels:
            left -= 1
            try:
                await self._attempt(exchange, channel)
            except UpstreamError as error:
                failure = error
                again = self._health.failed(channel, error)
                if left <= 0 or not again or client.started:
                    break
            else:
                self._health.served(channel)
                return
        if failure is not None:
            raise failure

    async def _attempt(self, exchange: Exchange, channel: Channel) -> None:
        """One channel: price, hold, relay, settle. Raises UpstreamError when it failed."""
        provider = BY_CHANNEL_TYPE.get(channel.type)
        if provider is None:
            raise ClientError("notimplement", status=500, code="convert_request_failed")
        inbound, demand = exchange.inbound, exchange.demand
        enforce_usage = self._enforce_usage
        call = edited_call(inbound, demand, channel, provider, exchange.now, enforce_usage=enforce_usage)
        bill = self._bills.open(exchange.token, demand, call, inbound)
        request = provider.request(call)
        hold = self._ledger.hold(exchange.token, bill.units_to_hold)
        delivery = Delivery()
        try:
            response = await self._upstream.send(request, timeouts=self._timeouts)
            try:
                await _relay(exchange, provider, call, response, delivery)
            finally:
                response.close()
        finally:
            # However it ended, cancelled too: settled exactly once, without waiting.
            if delivery.produced:
                self._bills.settle(bill, hold, delivery)
            else:
                self._ledger.cancel(hold)


async def _relay(
    exchange: Exchange, provider: Provider, call: Call, response: Response, delivery: Delivery
) -> None:
    """The answer in ``response`` to the client. Raises UpstreamError for one that is none."""
    client = exchange.client
    content_type = response.header("content-type")
    if response.status not in _SUCCESS:
        raise provider.error(call, await _whole(response))
    if _is_sound(call, content_type):
        await _pass_through(response, client, delivery)
    elif call.stream and not content_type.startswith("application/json"):
        wants_usage = exchange.demand.wants_usage
        relay = StreamRelay(client, dialect.STREAM_HEADERS, delivery, wants_usage=wants_usage)
        try:
            await relay.run(response, provider.stream(call))
        except UpstreamError as error:
            if client.started:
                client.send(dialect.error_event(error, exchange.inbound.request_id))
                client.end()
            raise
    else:
        reply = provider.reply(call, await _whole(response))
        if reply.empty:
            raise no_answer()
        delivery.reply = reply
        delivery.usage = reply.usage
        if call.stream and call.mode in _STREAMED and reply.data is not None:
            _stream_whole(exchange, call, reply.data)
        else:
            headers = (("Content-Type", reply.content_type), *reply.headers)
            client.respond(reply.status, headers, reply.body)


def _stream_whole(exchange: Exchange, call: Call, answer: Json) -> None:
    """The upstream cannot stream, and the client cannot do without."""
    client = exchange.client
    client.begin(200, dialect.STREAM_HEADERS)
    for data in chunks_of(call.mode, answer):
        if data["choices"] or exchange.demand.wants_usage:
            client.send(dialect.chunk_event(Chunk(data)))
    client.send(dialect.DONE)
    client.end()


def _is_sound(call: Call, content_type: str) -> bool:
    """Speech as bytes, which go on as they come; everything else has a form."""
    return call.mode is Mode.SPEECH and "json" not in content_type and "event-stream" not in content_type


async def _whole(response: Response) -> UpstreamReply:
    body = await response.read(REPLY_LIMIT_BYTES)
    return UpstreamReply(response.status, response.headers, body)


async def _pass_through(response: Response, client: Client, delivery: Delivery) -> None:
    piece = await response.piece()
    if not piece:
        raise no_answer()
    if "html" in response.header("content-type"):
        raise no_answer()
    delivery.passed = True
    client.begin(response.status, (("Content-Type", response.header("content-type")),))
    while piece:
        wait = client.send(piece)
        if wait is not None:
            await wait
        piece = await response.piece()
    client.end()
