"""The whole URL table: who may ask for what, and who answers.

Relay routes are not here: ``handlers.relay`` takes them before Tornado's application sees them. Every path is
served with and without a slash at its end.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tornado.web import Application

from oneapi import config, resources
from oneapi.handlers import account, channels, logs, options, public, redemptions, static, tokens, users, v1
from oneapi.handlers.base import Api, Endpoint, Services
from oneapi.handlers.billing import Subscription, Usage
from oneapi.handlers.channel_tests import ChannelTests
from oneapi.handlers.context import Context
from oneapi.handlers.limits import SlidingLog
from oneapi.handlers.passwords import Passwords
from oneapi.handlers.sessions import Sessions
from oneapi.store.records import ROLE_ADMIN, ROLE_ROOT, ROLE_USER

_Answer = Callable[[Api], Any]

GLOBAL_WINDOW_S = 180
CRITICAL_LIMIT, CRITICAL_WINDOW_S = 20, 20 * 60


def anybody(answer: _Answer, *, critical: bool = False) -> Endpoint:
    """No log-in needed. ``critical``: what can be guessed at by trying, so few tries are allowed."""
    return Endpoint(answer, critical=critical)


def user(answer: _Answer) -> Endpoint:
    """Any logged-in user."""
    return Endpoint(answer, ROLE_USER)


def admin(answer: _Answer) -> Endpoint:
    """Administrators and root."""
    return Endpoint(answer, ROLE_ADMIN)


def root(answer: _Answer) -> Endpoint:
    """Root only."""
    return Endpoint(answer, ROLE_ROOT)


# The first path that fits is taken: fixed names stand before ids.
API: Mapping[str, Mapping[str, Endpoint]] = {
    "/api/status": {"GET": anybody(public.status)},
    "/api/notice": {"GET": anybody(public.notice)},
    "/api/about": {"GET": anybody(public.about)},
    "/api/home_page_content": {"GET": anybody(public.home_page_content)},
    "/api/models": {"GET": user(public.models)},
    # The own account
    "/api/user/login": {"POST": anybody(account.login, critical=True)},
    "/api/user/logout": {"GET": anybody(account.logout)},
    "/api/user/self": {
        "GET": user(account.read),
        "PUT": user(account.update),
        "DELETE": user(account.delete),
    },
    "/api/user/token": {"GET": user(account.access_token)},
    "/api/user/aff": {"GET": user(account.invitation_code)},
    "/api/user/available_models": {"GET": user(account.available_models)},
    "/api/user/topup": {"POST": user(redemptions.redeem)},
    "/api/user/dashboard": {"GET": user(account.dashboard)},
    # Users
    "/api/user": {"GET": admin(users.page), "POST": admin(users.create), "PUT": admin(users.update)},
    "/api/user/search": {"GET": admin(users.search)},
    "/api/user/manage": {"POST": admin(users.manage)},
    "/api/user/:id": {"GET": admin(users.get), "DELETE": admin(users.delete)},
    "/api/topup": {"POST": admin(users.top_up)},
    # Settings
    "/api/option": {"GET": root(options.get), "PUT": root(options.put)},
    "/api/group": {"GET": admin(options.groups)},
    # Channels
    "/api/channel": {
        "GET": admin(channels.page),
        "POST": admin(channels.create),
        "PUT": admin(channels.update),
    },
    "/api/channel/search": {"GET": admin(channels.search)},
    "/api/channel/models": {"GET": admin(channels.models)},
    "/api/channel/disabled": {"DELETE": admin(channels.delete_disabled)},
    "/api/channel/test": {"GET": admin(channels.test_all)},
    "/api/channel/test/:id": {"GET": admin(channels.test)},
    "/api/channel/update_balance": {"GET": admin(channels.update_balances)},
    "/api/channel/update_balance/:id": {"GET": admin(channels.update_balance)},
    "/api/channel/:id": {"GET": admin(channels.get), "DELETE": admin(channels.delete)},
    # Tokens
    "/api/token": {"GET": user(tokens.page), "POST": user(tokens.create), "PUT": user(tokens.update)},
    "/api/token/search": {"GET": user(tokens.search)},
    "/api/token/:id": {"GET": user(tokens.get), "DELETE": user(tokens.delete)},
    # Redemption codes
    "/api/redemption": {
        "GET": admin(redemptions.page),
        "POST": admin(redemptions.create),
        "PUT": admin(redemptions.update),
    },
    "/api/redemption/search": {"GET": admin(redemptions.search)},
    "/api/redemption/:id": {"GET": admin(redemptions.get), "DELETE": admin(redemptions.delete)},
    # Logs
    "/api/log": {"GET": admin(logs.page), "DELETE": admin(logs.delete)},
    "/api/log/search": {"GET": admin(logs.search)},
    "/api/log/stat": {"GET": admin(logs.total)},
    "/api/log/self": {"GET": user(logs.own_page)},
    "/api/log/self/search": {"GET": user(logs.own_search)},
    "/api/log/self/stat": {"GET": user(logs.own_total)},
}


def application(context: Context) -> Application:
    """Everything but the relay routes. Reads the session secret and the page's files; raises OSError."""
    settings = context.settings
    services = Services(
        context=context,
        sessions=Sessions(config.session_secret(settings).encode()),
        passwords=Passwords(),
        tests=ChannelTests(context.store, context.tester),
        api_limit=SlidingLog(settings.global_api_rate_limit, GLOBAL_WINDOW_S),
        web_limit=SlidingLog(settings.global_web_rate_limit, GLOBAL_WINDOW_S),
        critical_limit=SlidingLog(CRITICAL_LIMIT, CRITICAL_WINDOW_S),
        started_at=int(time.time()),
    )
    billing = {"services": services}
    web = {"services": services, "files": static.load(resources.path("web_dist"))}
    return Application(
        [
            *((_pattern(path), Api, {"services": services, "endpoints": ways}) for path, ways in API.items()),
            (r"(?:/v1)?/dashboard/billing/subscription/?", Subscription, billing),
            (r"(?:/v1)?/dashboard/billing/usage/?", Usage, billing),
            (r"/v1/models/?", v1.Models, billing),
            (r"/v1/models/([^/]+)/?", v1.Model, billing),
            *(
                (f"/v1/{path}/?", v1.NotImplementedRoute, {"services": services, "methods": methods})
                for path, methods in v1.NOT_IMPLEMENTED
            ),
            (r".*", static.Web, web),
        ],
        log_function=lambda _: None,  # ``Base.on_finish`` writes the line
    )


def _pattern(path: str) -> str:
    return path.replace(":id", "([^/]+)") + "/?"
