"""Log rows that management itself writes: top-ups, rewards, manual changes, tests."""

import time

from oneapi.store.options import Options
from oneapi.store.records import Log


def quota_text(quota: int, options: Options) -> str:
    """``quota`` as One API's log texts name it, in dollars or in units."""
    relay = options.relay
    if relay.display_in_currency and relay.quota_per_unit:
        return f"＄{quota / relay.quota_per_unit:.6f} 额度"
    return f"{quota} 点额度"


def log_row(  # noqa: PLR0913  a row has many columns, all by name
    kind: int,
    content: str,
    request_id: str,
    *,
    user_id: int = 0,
    username: str = "",
    quota: int = 0,
    model_name: str = "",
    channel: int = 0,
    elapsed_ms: int = 0,
) -> Log:
    """A row of type ``kind``, written now. It keeps the user's name of now, whatever becomes of him."""
    return Log(
        id=0,
        user_id=user_id,
        created_at=int(time.time()),
        type=kind,
        content=content,
        username=username,
        token_name="",
        model_name=model_name,
        quota=quota,
        prompt_tokens=0,
        completion_tokens=0,
        channel=channel,
        request_id=request_id,
        elapsed_time=elapsed_ms,
        is_stream=False,
        system_prompt_reset=False,
    )
