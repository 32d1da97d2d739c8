"""Options: One API's settings in the database, over built-in defaults (contract section 3)."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """The options that a relayed request reads, parsed once per change. Unparsable numbers are 0."""

    retry_times: int
    pre_consumed_quota: int
    quota_per_unit: float
    approximate_tokens: bool
    log_consume: bool
    display_in_currency: bool
    display_token_stat: bool
    automatic_disable: bool
    quota_remind_threshold: int
    model_ratio: str  # JSON text, "" when never set
    completion_ratio: str
    group_ratio: str


class Options:
    """All options in memory. ``values`` has the defaults too."""

    values: dict[str, str]
    relay: RelayOptions

    def text(self, key: str) -> str:
        """The value, or ""."""
        raise NotImplementedError

    def flag(self, key: str) -> bool:
        """Whether the value is exactly ``true``."""
        raise NotImplementedError

    def integer(self, key: str) -> int:
        """The value as a number; 0 when it is none."""
        raise NotImplementedError

    async def put(self, key: str, value: str) -> None:
        """Store and apply; returns when both are done. Validation is the caller's."""
        raise NotImplementedError

    def subscribe(self, changed: Callable[["Options"], None]) -> None:
        """Call ``changed`` now and after every change."""
        raise NotImplementedError
