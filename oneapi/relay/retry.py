"""What follows from a failed attempt: one table, by the class of the failure."""

from dataclasses import dataclass

from oneapi.errors import Failure, UpstreamError


@dataclass(frozen=True, slots=True)
class Verdict:
    """``retry``: another channel may do better. ``disable``: only a person can mend this account.

    ``cooldown_s``: how long the channel is left out while others serve; ``Retry-After`` comes first.
    """

    retry: bool
    disable: bool = False
    cooldown_s: float = 0.0


# A channel is disabled for a dead key or an empty account only: one hiccup must not cost a channel.
VERDICTS = {
    Failure.AUTH: Verdict(retry=True, disable=True, cooldown_s=30.0),
    Failure.QUOTA: Verdict(retry=True, disable=True, cooldown_s=30.0),
    Failure.RATE: Verdict(retry=True, cooldown_s=5.0),
    Failure.OVERLOAD: Verdict(retry=True),
    Failure.NETWORK: Verdict(retry=True),
    Failure.TIMEOUT: Verdict(retry=True),
    Failure.NOT_FOUND: Verdict(retry=True),
    Failure.EMPTY: Verdict(retry=True),
    Failure.PROTOCOL: Verdict(retry=True),
    Failure.BAD_REQUEST: Verdict(retry=False),
    Failure.POLICY: Verdict(retry=False),
}

LONGEST_COOLDOWN_S = 300.0


def verdict(failure: UpstreamError) -> Verdict:
    """The row of the table for ``failure``, with the pause that the upstream itself asked for."""
    row = VERDICTS[failure.failure]
    if failure.retry_after_s is not None and row.retry:
        return Verdict(row.retry, row.disable, min(failure.retry_after_s, LONGEST_COOLDOWN_S))
    return row
