"""A database that the reference program wrote says through our store what it says in its description."""

from pathlib import Path
from typing import Any

from oneapi.store import Store
from oneapi.store.logs import LogFilter
from tests.store.rows import sql

TOTALS: dict[str, dict[Any, int]] = {
    "user": {
        "用户七": 336763,
        "bob": 308037,
        "alice": 282315,
        "ivan": 33500,
        "admin1": 3481,
        "carol": 1545,
        "trial": 355,
    },
    "channel": {1: 332757, 2: 62238, 4: 3197, 5: 78, 6: 269520, 7: 127830, 15: 48270, 16: 38550, 17: 83610},
    "model": {"my-llama": 269520, "gpt-4o": 171387, "pool-model": 170430, "tts-1": 675, "free-model": 0},
}


async def test_users_have_their_balances_and_rights(reference: Store) -> None:
    users = {user.username: user for user in await reference.users.page(offset=0, limit=100)}
    assert len(users) == 12
    assert len(reference.index.users) == 13
    root, alice, ivan = users["root"], users["alice"], users["ivan"]
    assert (root.id, root.role, root.quota, root.oidc_id, root.inviter_id, root.aff_code) == (
        1,
        100,
        500000000000000,
        "",
        0,
        "",
    )
    assert (alice.group, alice.quota, alice.used_quota, alice.request_count) == ("vip", 5248185, 282315, 196)
    assert alice.access_token == "2d715fd163574c1aaee9404b5ab56193"
    assert (alice.aff_code, users["bob"].inviter_id) == ("cDMe", alice.id)
    assert ivan.quota == reference.index.users[12].quota == -12500
    assert (users["carol"].status, reference.index.users[7].status) == (2, 3)


async def test_users_log_in_by_name_or_address(reference: Store) -> None:
    for name, user_id in [("alice", 4), ("alice.w@example.com", 4), ("用户七", 8), ("alice_o", 9)]:
        found = await reference.users.by_name(name)
        assert found is not None
        assert found.id == user_id
    assert await reference.users.by_name("dave") is None
    assert await reference.users.by_name("") is None
    by_token = await reference.users.by_access_token("78b330d816004dcf9fd1f66377806eb1")
    assert by_token is not None
    assert by_token.username == "root"
    assert await reference.users.by_access_token("") is None


async def test_tokens_are_found_by_key_with_their_limits(reference: Store) -> None:
    index = reference.index
    assert len(index.tokens) == len(index.tokens_by_id) == 28
    two = index.tokens["xdj8vzAyXNF15JziA805Bf62D2B34e51BeBa89D935D75cF7"]
    assert (two.id, two.remain, two.used, two.unlimited) == (16, 181031, 18969, False)
    assert two.model_list == ("gpt-4o", "claude-3-haiku-20240307")
    assert two.models == frozenset(two.model_list)
    office = index.tokens["OTDHkDp1jMNyYQfMEcA16cC2F3184b61A18eEe5e62A2F304"]
    assert [str(network) for network in office.networks] == ["10.0.0.0/8", "192.168.1.0/24"]
    assert office.user is index.users[4]
    root = index.tokens["roottokenfixture0123456789abcdefghijklmnopqrstuvw"]
    assert (root.unlimited, root.models, root.subnet, root.networks) == (True, None, "", ())
    statuses = sorted(entry.status for entry in index.tokens.values())
    assert statuses == [1] * 25 + [2, 3, 4]


async def test_channels_serve_what_their_abilities_say(reference: Store, reference_path: Path) -> None:
    routed = {
        (group, model, channel.id, channel.priority)
        for group, models in reference.index.routes.items()
        for model, tiers in models.items()
        for tier in tiers
        for channel in tier
    }
    abilities = set(
        sql(reference_path, "SELECT `group`, model, channel_id, priority FROM abilities WHERE enabled")
    )
    # Type 43 serves no model by name: the reference program keeps a row with an empty one for it.
    # Channel 6 has lost its priority, which counts as 0, after its rows were made.
    expected = {
        (group, model, id_, 0 if id_ == 6 else priority) for group, model, id_, priority in abilities if model
    }
    assert routed == expected
    assert len(abilities) == 60
    assert len(await reference.channels.page(offset=0, limit=100)) == 16


async def test_empty_columns_of_old_releases_read_as_nothing(reference: Store) -> None:
    custom = await reference.channels.get(6)
    assert custom is not None
    assert (custom.system_prompt, custom.config, custom.priority, custom.weight) == (None, "", None, None)
    assert (reference.index.channels[6].priority, reference.index.channels[6].system_prompt) == (0, "")
    oldest = (await reference.logs.page(LogFilter(), offset=403, limit=10))[0]
    assert (oldest.id, oldest.request_id, oldest.elapsed_time, oldest.is_stream) == (1, "", 0, False)
    token = await reference.tokens.get(1, 1)
    assert token is not None
    assert (token.models, token.subnet) == (None, None)


async def test_the_log_adds_up(reference: Store) -> None:
    logs = reference.logs
    assert await logs.quota_sum(LogFilter()) == 966050
    for name, quota in TOTALS["user"].items():
        assert await logs.quota_sum(LogFilter(username=name, type=1)) == quota
    for channel, quota in TOTALS["channel"].items():
        assert await logs.quota_sum(LogFilter(channel=channel)) == quota
    for model, quota in TOTALS["model"].items():
        assert await logs.quota_sum(LogFilter(model_name=model)) == quota
    assert await logs.quota_sum(LogFilter(end=1730419199)) == 464684
    assert await logs.quota_sum(LogFilter(start=1730419200)) == 501366
    days = await logs.days(4, 0, 1 << 40)
    assert sum(day.quota for day in days) == 282315
    assert sum(day.request_count for day in days) == 196
    assert [(day.day, day.model_name) for day in days] == sorted((day.day, day.model_name) for day in days)
    assert [row.id for row in await logs.page(LogFilter(type=3), offset=0, limit=10)] == [
        row.id for row in await logs.search("3")
    ]


async def test_options_override_the_defaults(reference: Store) -> None:
    options = reference.options
    assert (
        options.relay.retry_times,
        options.relay.pre_consumed_quota,
        options.relay.approximate_tokens,
    ) == (2, 400, True)
    assert options.relay.automatic_disable
    assert options.number("ChannelDisableThreshold") == 12.5
    assert options.text("MyOwnKey") == "unknown keys are kept"
    assert options.text("QuotaPerUnit") == "500000"
    assert options.relay.group_ratio == '{"default": 1, "svip": 0.5, "trial": 2, "vip": 0.8}'


async def test_codes_are_listed_and_redeemed_once(reference: Store) -> None:
    codes = await reference.redemptions.page(offset=0, limit=100)
    assert [(code.id, code.status) for code in codes] == [
        (n, {1: 3, 2: 3, 3: 2, 7: 3}.get(n, 1)) for n in range(10, 0, -1)
    ]
    assert [code.id for code in await reference.redemptions.search("vip")] == [7, 8]
