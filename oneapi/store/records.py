"""Rows as the rest of the program sees them: frozen, without a database behind them.

Field order is the order of One API's JSON. NULL in a column of an older release reads as ``""``, 0 or False,
except where the type says ``None``.
"""

from dataclasses import dataclass, field

ROLE_USER, ROLE_ADMIN, ROLE_ROOT = 1, 10, 100
STATUS_ENABLED, STATUS_DISABLED = 1, 2
USER_DELETED = 3
TOKEN_EXPIRED, TOKEN_EXHAUSTED = 3, 4
CHANNEL_AUTO_DISABLED = 3
REDEMPTION_USED = 3
LOG_TOPUP, LOG_CONSUME, LOG_MANAGE, LOG_SYSTEM, LOG_TEST = 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class User:
    """A row of ``users``. ``password`` is a bcrypt hash, or "" for a user who only logs in elsewhere."""

    id: int
    username: str
    password: str = field(repr=False)
    display_name: str
    role: int
    status: int
    email: str
    github_id: str
    wechat_id: str
    lark_id: str
    oidc_id: str
    access_token: str = field(repr=False)
    quota: int
    used_quota: int
    request_count: int
    group: str
    aff_code: str
    inviter_id: int


@dataclass(frozen=True, slots=True)
class Token:
    """A row of ``tokens``. ``key`` has no ``sk-``. ``models`` None or "" allows all."""

    id: int
    user_id: int
    key: str = field(repr=False)
    status: int
    name: str
    created_time: int
    accessed_time: int
    expired_time: int
    remain_quota: int
    unlimited_quota: bool
    used_quota: int
    models: str | None
    subnet: str | None


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A row of ``channels``; ``wire.Channel`` is its parsed form for the relay."""

    id: int
    type: int
    key: str = field(repr=False)
    status: int
    name: str
    weight: int | None
    created_time: int
    test_time: int
    response_time: int
    base_url: str | None
    other: str | None = field(repr=False)
    balance: float
    balance_updated_time: int
    models: str
    group: str
    used_quota: int
    model_mapping: str | None
    priority: int | None
    config: str = field(repr=False)
    system_prompt: str | None


@dataclass(slots=True)  # one for each request: freezing a row of this length costs microseconds
class Log:
    """A row of ``logs``. ``channel`` is the column ``channel_id``; ``elapsed_time`` is in milliseconds."""

    id: int
    user_id: int
    created_at: int
    type: int
    content: str
    username: str
    token_name: str
    model_name: str
    quota: int
    prompt_tokens: int
    completion_tokens: int
    channel: int
    request_id: str
    elapsed_time: int
    is_stream: bool
    system_prompt_reset: bool


@dataclass(frozen=True, slots=True)
class Redemption:
    """A row of ``redemptions``."""

    id: int
    user_id: int
    key: str = field(repr=False)
    status: int
    name: str
    quota: int
    created_time: int
    redeemed_time: int


@dataclass(slots=True)
class Settlement:
    """All that one settlement changes, written in one transaction with its log row.

    ``quota`` is taken from the user (``user_id`` 0: nobody, a channel test) and added to his
    ``used_quota``; the same for the token (0: none), whose ``remain_quota`` changes only when it is
    limited, and for the channel's ``used_quota``. ``requests`` is added to the user's ``request_count``.
    ``log`` is None when consume logs are off.
    """

    user_id: int
    token_id: int
    token_unlimited: bool
    channel_id: int
    quota: int
    requests: int
    settled_at: int
    log: Log | None
