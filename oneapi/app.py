"""The composition root: build everything, start, serve, drain, stop."""

import asyncio
import gc
import logging
import signal
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tornado.httputil import HTTPConnection, HTTPMessageDelegate

from oneapi import __version__, config, log, tasks
from oneapi.billing.ledger import Ledger
from oneapi.config import Settings
from oneapi.handlers.context import Context
from oneapi.handlers.front import FrontDoor
from oneapi.handlers.passwords import Passwords
from oneapi.handlers.routes import application
from oneapi.relay.balance import Balances
from oneapi.relay.bill import Bills
from oneapi.relay.health import Health
from oneapi.relay.pipeline import Parts, Pipeline
from oneapi.relay.proxy import RawProxy
from oneapi.relay.route import Router
from oneapi.relay.tester import ChannelTester
from oneapi.server import Connection, HTTPServer, InflatingDelegate, Limits
from oneapi.store import StoreError
from oneapi.store.store import Store
from oneapi.upstream.client import Client
from oneapi.upstream.proxies import ProxyRules
from oneapi.upstream.response import Timeouts

logger = logging.getLogger(__name__)

DRAIN_S = 30.0  # what a stop grants to answers under way
SETTLE_S = 10.0  # and to their bills afterwards
MANY_FILES = 10_240  # what may be asked for where the system names no limit
FIRST_PASSWORD = "123456"  # noqa: S105  the documented first log-in


class StartError(Exception):
    """The program cannot start; the text says why and what to do."""


@dataclass(slots=True)
class App:
    """The running program."""

    settings: Settings
    store: Store
    ledger: Ledger
    upstream: Client
    server: HTTPServer
    root_created: bool

    async def stop(self) -> None:
        """Accept no more, let answers end, settle them, close the database."""
        await self.server.stop(DRAIN_S)
        await tasks.drain(SETTLE_S)
        await self.upstream.close()
        await self.store.close()


async def start(settings: Settings) -> App:
    """Open the database and listen. Raises StartError, StoreError."""
    store = await Store.open(settings.database_path, busy_timeout_ms=settings.sqlite_busy_timeout_ms)
    try:
        return await _started(settings, store)
    except BaseException:
        await store.close()
        raise


async def _started(settings: Settings, store: Store) -> App:
    root_created = await _ensure_root(settings, store)
    ledger = Ledger(store)
    rules = ProxyRules(http=settings.http_proxy, https=settings.https_proxy, bypass=settings.no_proxy)
    upstream = Client(proxy_rules=rules)
    health = Health(store)
    router = Router(store.index, health.cooldowns)
    timeouts = Timeouts(total_s=float(settings.relay_timeout_s))
    parts = Parts(
        store,
        ledger,
        upstream,
        Bills(store, ledger),
        health,
        router,
        timeouts,
        settings.enforce_include_usage,
    )
    context = Context(
        settings=settings,
        store=store,
        pipeline=Pipeline(parts),
        proxy=RawProxy(store, ledger, upstream, router),
        tester=ChannelTester(upstream, settings.test_prompt),
        balances=Balances(upstream),
    )
    limits = Limits(body_bytes=settings.max_request_body_bytes)
    door = FrontDoor(context, application(context), partial(_inflating, limit_bytes=limits.body_bytes))
    server = HTTPServer(door, limits=limits)
    try:
        await server.start(settings.listen_address, settings.port)
    except OSError as exc:
        address = settings.listen_address or "all addresses"
        text = (
            f"cannot listen on port {settings.port} of {address}: {exc.strerror}; choose another with --port"
        )
        raise StartError(text) from exc
    return App(settings, store, ledger, upstream, server, root_created)


def _inflating(
    inner: HTTPMessageDelegate, connection: HTTPConnection, *, limit_bytes: int
) -> HTTPMessageDelegate:
    assert isinstance(connection, Connection)  # noqa: S101  only our server calls the front door
    return InflatingDelegate(inner, connection, limit_bytes)


async def _ensure_root(settings: Settings, store: Store) -> bool:
    if store.index.users:
        return False
    return await store.users.ensure_root(
        password_hash=await Passwords().hash(FIRST_PASSWORD),
        access_token=settings.initial_root_access_token or uuid.uuid4().hex,
        token_key=settings.initial_root_token,
    )


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises StartError, StoreError."""
    stopped = asyncio.Event()
    _on_signals(stopped.set)
    app = await start(settings)
    _calm_garbage_collector()
    for warning in settings.warnings:
        logger.warning("%s", warning)
    _greet(app)
    await stopped.wait()
    logger.info("stopping: answers under way may end")
    await app.stop()
    logger.info("stopped")


def main() -> None:
    """The program. Exits 0 after a stop, 1 when it cannot start, 2 for a wrong command line."""
    settings = config.of_process()
    try:
        log.setup(settings)
    except log.LogDirError as exc:
        _die(str(exc))
    _allow_many_sockets()
    try:
        with asyncio.Runner(loop_factory=_loop_factory(settings)) as runner:
            runner.run(serve(settings))
    except (StartError, StoreError) as exc:
        log.close()
        _die(str(exc))
    finally:
        log.close()


def _allow_many_sockets() -> None:
    """Take every file descriptor that the system grants: each stream needs two sockets."""
    try:
        import resource  # noqa: PLC0415  Windows has no such limit
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says "unlimited" and refuses to set it.
    wanted = max(soft, MANY_FILES) if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as exc:
        logger.warning("the limit of open files stays low limit=%d error=%s", soft, exc)


def _calm_garbage_collector() -> None:
    """What is loaded by now stays: leave it out of every later search for garbage, and search less often.

    A request makes hardly any cycles, so most searches of the default rhythm find nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _greet(app: App) -> None:
    host = app.settings.listen_address or "localhost"
    address = f"http://[{host}]" if ":" in host else f"http://{host}"
    logger.info("One API %s", __version__)
    logger.info("address: %s:%d/", address, app.server.port)
    logger.info("database: %s", app.settings.database_path)
    if app.root_created:
        logger.warning("first login: root / %s - change this password now", FIRST_PASSWORD)


def _on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(name, stop)
        except NotImplementedError:  # Windows
            signal.signal(name, lambda *_: loop.call_soon_threadsafe(stop))


def _loop_factory(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop]:
    if settings.event_loop != "asyncio":
        try:
            import uvloop  # noqa: PLC0415  there are systems without it
        except ImportError:
            if settings.event_loop == "uvloop":
                _die("EVENT_LOOP=uvloop: uvloop is not available here; use auto or asyncio")
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop


def _die(text: str) -> None:
    sys.stderr.write(f"one-api: {text}\n")
    raise SystemExit(1)
