import pytest

from oneapi import tasks
from oneapi.errors import Failure, UpstreamError
from oneapi.relay.health import Health
from oneapi.relay.retry import LONGEST_COOLDOWN_S, VERDICTS, verdict
from oneapi.store import Store


def failed(failure: Failure, retry_after_s: float | None = None) -> UpstreamError:
    return UpstreamError("x", failure=failure, retry_after_s=retry_after_s)


def test_every_class_of_failure_has_a_verdict() -> None:
    assert set(VERDICTS) == set(Failure)


def test_only_a_dead_key_or_an_empty_account_disables() -> None:
    disabling = {failure for failure in Failure if verdict(failed(failure)).disable}
    assert disabling == {Failure.AUTH, Failure.QUOTA}


def test_what_the_request_itself_is_to_blame_for_is_not_tried_again() -> None:
    final = {failure for failure in Failure if not verdict(failed(failure)).retry}
    assert final == {Failure.BAD_REQUEST, Failure.POLICY}


def test_the_upstreams_own_pause_counts_within_reason() -> None:
    assert verdict(failed(Failure.RATE, 12.0)).cooldown_s == 12.0
    assert verdict(failed(Failure.OVERLOAD, 1e9)).cooldown_s == LONGEST_COOLDOWN_S
    assert verdict(failed(Failure.BAD_REQUEST, 12.0)).cooldown_s == 0.0


async def fails_twice(store: Store, *, allowed: str) -> int:
    """The channel's status after two refusals of its key."""
    await store.options.put("AutomaticDisableChannelEnabled", allowed)
    await store.channels.insert([{"type": 1, "name": "c", "key": "k", "models": "m"}])
    health = Health(store)
    channel = store.index.channels[1]
    assert health.failed(channel, failed(Failure.AUTH))
    assert health.failed(channel, failed(Failure.AUTH))
    await tasks.drain(5)
    return store.index.channels[1].status


@pytest.mark.expected_log("attempt failed", "channel disabled")
async def test_a_channel_with_a_dead_key_is_switched_off_when_the_operator_allows_it(store: Store) -> None:
    assert await fails_twice(store, allowed="true") == 3


@pytest.mark.expected_log("attempt failed")
async def test_a_channel_with_a_dead_key_stays_on_when_the_operator_does_not(store: Store) -> None:
    assert await fails_twice(store, allowed="false") == 1
