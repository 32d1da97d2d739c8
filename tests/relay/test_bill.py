import asyncio

import orjson

from oneapi import tasks
from oneapi.billing.ledger import Ledger
from oneapi.providers import BY_CHANNEL_TYPE
from oneapi.relay import dialect
from oneapi.relay.bill import Bills
from oneapi.relay.delivery import Delivery
from oneapi.relay.edit import edited_call
from oneapi.relay.exchange import Inbound
from oneapi.store import Store
from oneapi.wire import Mode

CHAT = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}


async def test_what_was_delivered_is_paid_also_when_the_count_is_interrupted(store: Store) -> None:
    await store.users.update(1, {"quota": 1_000_000})
    await store.tokens.update(1, {"remain_quota": 1_000_000})
    await store.channels.insert([{"type": 1, "name": "c", "key": "k", "base_url": "http://x", "models": "m"}])
    inbound = Inbound(
        mode=Mode.CHAT,
        method="POST",
        path="/v1/chat/completions",
        query="",
        headers={"content-type": "application/json"},
        body=orjson.dumps(CHAT),
        remote_ip="127.0.0.1",
        request_id="1",
        started=0.0,
    )
    ledger = Ledger(store)
    bills = await tasks.run_blocking(Bills, store, ledger)  # it reads the price list
    token, channel = store.index.tokens["key1"], store.index.channels[1]
    demand = dialect.read(inbound)
    call = edited_call(inbound, demand, channel, BY_CHANNEL_TYPE[1], 0, enforce_usage=False)
    bill = bills.open(token, demand, call, inbound)
    delivery = Delivery()
    delivery.add("four five six")
    bills.settle(bill, ledger.hold(token, bill.units_to_hold), delivery)
    await asyncio.sleep(0)  # the count has begun
    await tasks.drain(0)
    assert ledger.open_holds == token.held == 0
    # By size, and at the price of a model without one: 13 bytes of answer, 13 of prompt, 4 of "user", and 6.
    assert token.used == (4 + 4 + 1 + 6) * 30
