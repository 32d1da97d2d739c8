"""Channel tests: one at a person's request, or all in the background; what they find is stored and logged."""

import logging
from collections.abc import Iterable

from oneapi import request_id, tasks
from oneapi.handlers.log_rows import log_row
from oneapi.relay.retry import verdict
from oneapi.relay.tester import ChannelTester, TestResult
from oneapi.store.records import CHANNEL_AUTO_DISABLED, LOG_TEST, STATUS_ENABLED
from oneapi.store.store import Store

log = logging.getLogger(__name__)

# What One API asks for when nobody names a model; a channel without it is asked for its first one.
DEFAULT_MODEL = "gpt-3.5-turbo"
_LOGGED_CHARACTERS = 1000


class ChannelTests:
    """Runs tests and keeps what follows from them."""

    def __init__(self, store: Store, tester: ChannelTester) -> None:
        self._store = store
        self._tester = tester
        self.running = False

    async def one(self, channel_id: int, model: str, rid: str) -> TestResult | None:
        """Test a channel; None when there is no such channel. ``rid`` is the request id of the log row."""
        channel = self._store.index.channels.get(channel_id)
        if channel is None:
            return None
        result = await self._tester.test(channel, model or DEFAULT_MODEL)
        elapsed_ms = round(result.elapsed_s * 1000)
        text = result.message[:_LOGGED_CHARACTERS]
        outcome = f"测试成功，响应：{text}" if result.ok else f"测试失败，错误：{text}"
        row = log_row(
            LOG_TEST,
            f"渠道 {channel.name} {outcome}",
            rid,
            model_name=channel.mapping.get(result.model, result.model),
            channel=channel.id,
            elapsed_ms=elapsed_ms,
        )
        await self._store.logs.insert([row])
        response_time = elapsed_ms if result.ok else 0
        await self._store.channels.update(
            channel.id, {"response_time": response_time, "test_time": row.created_at}
        )
        return result

    def start(self, *, only_disabled: bool) -> bool:
        """Test all channels, or the disabled ones, in the background. False when that is under way."""
        if self.running:
            return False
        self.running = True
        channels = sorted(self._store.index.channels.values(), key=lambda channel: channel.id)
        chosen = [c.id for c in channels if not only_disabled or c.status != STATUS_ENABLED]
        tasks.spawn(self._all(chosen), name="test channels")
        return True

    async def _all(self, channel_ids: Iterable[int]) -> None:
        try:
            for channel_id in channel_ids:
                result = await self.one(channel_id, "", request_id.new())
                if result is not None:
                    await self._judge(channel_id, result)
        finally:
            self.running = False

    async def _judge(self, channel_id: int, result: TestResult) -> None:
        options = self._store.options
        channel = self._store.index.channels.get(channel_id)
        if channel is None:
            return
        if channel.status == STATUS_ENABLED:
            reason = self._complaint(result)
            if reason and options.relay.automatic_disable:
                log.error("channel disabled by its test channel_id=%d reason=%s", channel_id, reason)
                await self._store.channels.set_status(channel_id, CHANNEL_AUTO_DISABLED)
        # What a person has switched off stays off.
        elif (
            channel.status == CHANNEL_AUTO_DISABLED
            and result.ok
            and options.flag("AutomaticEnableChannelEnabled")
        ):
            log.info("channel enabled by its test channel_id=%d", channel_id)
            await self._store.channels.set_status(channel_id, STATUS_ENABLED)

    def _complaint(self, result: TestResult) -> str:
        if result.failure is not None:
            return result.failure.failure.value if verdict(result.failure).disable else ""
        limit_s = self._store.options.number("ChannelDisableThreshold")
        if result.ok and 0 < limit_s < result.elapsed_s:
            return f"{result.elapsed_s:.2f}s > {limit_s:.2f}s"
        return ""
