"""One API's seven tables, column by column, and the conversion of their rows into frozen records.

The models describe and build queries; they are bound to no database, so no row object and no connection of
peewee's leaves this package. ``Model.select()`` yields the columns in the order of the record's fields.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast, get_type_hints

import peewee

from oneapi.store import records

R = TypeVar("R")
Row = Sequence[Any]


class Char(peewee.TextField):
    """Text with a declared length (which SQLite does not enforce); ``declared`` is its type in the schema."""

    def __init__(self, declared: str, **options: Any) -> None:
        self.declared = declared
        super().__init__(**options)


class Users(peewee.Model):
    """``users``; a deleted user keeps his row with status 3."""

    id = peewee.AutoField()
    username = peewee.TextField(null=True)
    password = peewee.TextField()
    display_name = peewee.TextField(null=True)
    role = peewee.IntegerField(null=True, default=1)
    status = peewee.IntegerField(null=True, default=1)
    email = peewee.TextField(null=True)
    github_id = peewee.TextField(null=True)
    wechat_id = peewee.TextField(null=True)
    lark_id = peewee.TextField(null=True)
    oidc_id = peewee.TextField(null=True)
    access_token = Char("char(32)", null=True)
    quota = peewee.IntegerField(null=True, default=0)
    used_quota = peewee.IntegerField(null=True, default=0)
    request_count = peewee.IntegerField(null=True, default=0)
    group = Char("varchar(32)", null=True, default="default")
    aff_code = Char("varchar(32)", null=True)
    inviter_id = peewee.IntegerField(null=True)

    class Meta:
        table_name = "users"


class Tokens(peewee.Model):
    """``tokens``; ``key`` is stored without ``sk-``."""

    id = peewee.AutoField()
    user_id = peewee.IntegerField(null=True)
    key = Char("char(48)", null=True)
    status = peewee.IntegerField(null=True, default=1)
    name = peewee.TextField(null=True)
    created_time = peewee.IntegerField(null=True)
    accessed_time = peewee.IntegerField(null=True)
    expired_time = peewee.IntegerField(null=True, default=-1)
    remain_quota = peewee.IntegerField(null=True, default=0)
    unlimited_quota = peewee.BooleanField(null=True, default=False)
    used_quota = peewee.IntegerField(null=True, default=0)
    models = peewee.TextField(null=True)
    subnet = peewee.TextField(null=True, default="")

    class Meta:
        table_name = "tokens"


class Channels(peewee.Model):
    """``channels``; ``models`` and ``group`` are comma lists, ``model_mapping`` and ``config`` JSON."""

    id = peewee.AutoField()
    type = peewee.IntegerField(null=True, default=0)
    key = peewee.TextField(null=True)
    status = peewee.IntegerField(null=True, default=1)
    name = peewee.TextField(null=True)
    weight = peewee.IntegerField(null=True, default=0)
    created_time = peewee.IntegerField(null=True)
    test_time = peewee.IntegerField(null=True)
    response_time = peewee.IntegerField(null=True)
    base_url = peewee.TextField(null=True, default="")
    other = peewee.TextField(null=True)
    balance = peewee.FloatField(null=True)
    balance_updated_time = peewee.IntegerField(null=True)
    models = peewee.TextField(null=True)
    group = Char("varchar(32)", null=True, default="default")
    used_quota = peewee.IntegerField(null=True, default=0)
    model_mapping = Char("varchar(1024)", null=True, default="")
    priority = peewee.IntegerField(null=True, default=0)
    config = peewee.TextField(null=True)
    system_prompt = peewee.TextField(null=True)

    class Meta:
        table_name = "channels"


class Abilities(peewee.Model):
    """``abilities``: one row per channel, group and model. The reference program routes by it, we do not."""

    group = Char("varchar(32)", null=True)
    model = peewee.TextField(null=True)
    channel_id = peewee.IntegerField(null=True)
    enabled = peewee.BooleanField(null=True)
    priority = peewee.IntegerField(null=True, default=0)

    class Meta:
        table_name = "abilities"
        primary_key = peewee.CompositeKey("group", "model", "channel_id")


class Logs(peewee.Model):
    """``logs``; ``channel_id`` is ``channel`` in JSON and in ``records.Log``."""

    id = peewee.AutoField()
    user_id = peewee.IntegerField(null=True)
    created_at = peewee.IntegerField(null=True)
    type = peewee.IntegerField(null=True)
    content = peewee.TextField(null=True)
    username = peewee.TextField(null=True, default="")
    token_name = peewee.TextField(null=True, default="")
    model_name = peewee.TextField(null=True, default="")
    quota = peewee.IntegerField(null=True, default=0)
    prompt_tokens = peewee.IntegerField(null=True, default=0)
    completion_tokens = peewee.IntegerField(null=True, default=0)
    channel_id = peewee.IntegerField(null=True)
    request_id = peewee.TextField(null=True, default="")
    elapsed_time = peewee.IntegerField(null=True, default=0)
    is_stream = peewee.BooleanField(null=True, default=False)
    system_prompt_reset = peewee.BooleanField(null=True, default=False)

    class Meta:
        table_name = "logs"


class Options(peewee.Model):
    """``options``: only keys that were ever saved."""

    key = peewee.TextField(null=True, primary_key=True)
    value = peewee.TextField(null=True)

    class Meta:
        table_name = "options"


class Redemptions(peewee.Model):
    """``redemptions``: codes that add quota once."""

    id = peewee.AutoField()
    user_id = peewee.IntegerField(null=True)
    key = Char("char(32)", null=True)
    status = peewee.IntegerField(null=True, default=1)
    name = peewee.TextField(null=True)
    quota = peewee.IntegerField(null=True, default=100)
    created_time = peewee.IntegerField(null=True)
    redeemed_time = peewee.IntegerField(null=True)

    class Meta:
        table_name = "redemptions"


# (name, table, columns, unique): the names are One API's own, odd spellings included.
INDEXES: tuple[tuple[str, str, tuple[str, ...], bool], ...] = (
    ("idx_users_username", "users", ("username",), False),
    ("idx_users_display_name", "users", ("display_name",), False),
    ("idx_users_email", "users", ("email",), False),
    ("idx_users_git_hub_id", "users", ("github_id",), False),
    ("idx_users_we_chat_id", "users", ("wechat_id",), False),
    ("idx_users_lark_id", "users", ("lark_id",), False),
    ("idx_users_oidc_id", "users", ("oidc_id",), False),
    ("idx_users_access_token", "users", ("access_token",), True),
    ("idx_users_aff_code", "users", ("aff_code",), True),
    ("idx_users_inviter_id", "users", ("inviter_id",), False),
    ("idx_tokens_key", "tokens", ("key",), True),
    ("idx_tokens_name", "tokens", ("name",), False),
    ("idx_channels_name", "channels", ("name",), False),
    ("idx_abilities_channel_id", "abilities", ("channel_id",), False),
    ("idx_abilities_priority", "abilities", ("priority",), False),
    ("idx_logs_user_id", "logs", ("user_id",), False),
    ("idx_created_at_type", "logs", ("created_at", "type"), False),
    ("index_username_model_name", "logs", ("model_name", "username"), False),
    ("idx_logs_token_name", "logs", ("token_name",), False),
    ("idx_logs_model_name", "logs", ("model_name",), False),
    ("idx_logs_channel_id", "logs", ("channel_id",), False),
    ("idx_redemptions_name", "redemptions", ("name",), False),
    ("idx_redemptions_key", "redemptions", ("key",), True),
)
TABLES: tuple[type[peewee.Model], ...] = (Users, Tokens, Channels, Abilities, Logs, Options, Redemptions)
UNIQUE_CONSTRAINTS = {"users": ("uni_users_username", "username")}

_ZERO: dict[Any, Any] = {str: "", int: 0, bool: False, float: 0.0}


def columns(model: type[peewee.Model]) -> list[peewee.Field]:
    """The columns of ``model`` in the order of the schema."""
    return list(model._meta.sorted_fields)  # noqa: SLF001  peewee's documented place for them


def new_row(model: type[peewee.Model], record: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """All columns of a new row but its id, as One API would store them.

    A zero value in a column with a default becomes the default; absent columns are "" or 0, or NULL where the
    record's type allows None.
    """
    hints = get_type_hints(record)
    row: dict[str, Any] = {}
    for column in columns(model):
        name = column.name
        if name == "id" and "id" not in values:
            continue
        value = values.get(name)
        if not value and column.default is not None:
            value = column.default
        row[name] = _ZERO.get(hints[name]) if value is None else value
    return row


def _reader(record: type[R]) -> Callable[[Row], R]:
    hints = get_type_hints(record)
    names = [field.name for field in fields(cast(Any, record))]
    zeros = tuple(_ZERO.get(hints[name]) for name in names)
    flags = tuple(place for place, name in enumerate(names) if hints[name] is bool)

    def read(row: Row) -> R:
        values = [zero if value is None else value for value, zero in zip(row, zeros, strict=True)]
        for place in flags:
            values[place] = bool(values[place])
        return record(*values)

    return read


user = _reader(records.User)
token = _reader(records.Token)
channel = _reader(records.ChannelRow)
log = _reader(records.Log)
redemption = _reader(records.Redemption)
