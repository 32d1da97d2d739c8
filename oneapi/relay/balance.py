"""Asks upstream accounts how much money is left."""

import time

import orjson

from oneapi.errors import GatewayError
from oneapi.providers.balances import QUESTIONS, BalanceError, Question, utc_date
from oneapi.upstream.client import Client
from oneapi.upstream.response import Timeouts
from oneapi.wire import Channel, Json, UpstreamRequest

_REPLY_LIMIT_BYTES = 1 << 20
_TIMEOUTS = Timeouts(first_byte_s=30.0, idle_s=30.0, total_s=60.0)


class Balances:
    """The balance of a channel's account."""

    def __init__(self, upstream: Client) -> None:
        self._upstream = upstream

    async def ask(self, channel: Channel) -> float:
        """The amount that is left. Raises GatewayError, with a text for the administrator."""
        question = QUESTIONS.get(channel.type)
        if question is None:
            raise GatewayError("尚未实现")
        try:
            return await self._sum(channel, question)
        except BalanceError as error:
            raise GatewayError(str(error)) from error

    async def _sum(self, channel: Channel, question: Question) -> float:
        answer = await self._get(question.request(channel))
        amount = question.read(answer)
        if question.then is None:
            return amount
        url, rest = question.then(channel, answer, utc_date(int(time.time())))
        return rest(amount, await self._get(question.request(channel, url)))

    async def _get(self, request: UpstreamRequest) -> Json:
        response = await self._upstream.send(request, timeouts=_TIMEOUTS)
        try:
            body = await response.read(_REPLY_LIMIT_BYTES)
        finally:
            response.close()
        if response.status != 200:
            raise GatewayError(f"status code: {response.status}")
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError as exc:
            raise GatewayError("the answer is not JSON") from exc
        if not isinstance(answer, dict):
            raise GatewayError("the answer is not a JSON object")
        return answer
