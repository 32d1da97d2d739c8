"""The management API on a real socket, over a real database; its channel tests reach a stand-in vendor."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import bcrypt
import orjson
import pytest

from oneapi import tasks
from oneapi.config import PRIVATE_PEERS, Settings
from oneapi.handlers.context import Context
from oneapi.handlers.routes import application
from oneapi.relay.balance import Balances
from oneapi.relay.tester import ChannelTester
from oneapi.server import HTTPServer
from oneapi.store.records import ROLE_ADMIN, ROLE_USER, STATUS_DISABLED, STATUS_ENABLED, User
from oneapi.store.store import Store
from oneapi.upstream.client import Client as UpstreamClient
from tests.support.admin import Answer, fetch

ROOT_PASSWORD = "123456"
PASSWORD = "password1"


def cheap_hash(password: str) -> str:
    """A bcrypt hash that is quick to check."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4, prefix=b"2a")).decode()


HASH, ROOT_HASH = cheap_hash(PASSWORD), cheap_hash(ROOT_PASSWORD)


@dataclass
class Client:
    """Somebody who talks to the service: a browser with a cookie, or a script with headers of its own."""

    base: str
    headers: dict[str, str] = field(default_factory=dict)
    cookie: str = ""

    async def ask(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> Answer:
        """The answer to one request. ``body`` is sent as JSON, or as it is when it is bytes."""
        sent = {**self.headers, **(headers or {})}
        if self.cookie:
            sent["Cookie"] = self.cookie
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        answer = await asyncio.to_thread(fetch, self.base, method, path, body=data, headers=sent)
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].split(";")[0]
        return answer

    async def get(self, path: str) -> Any:
        """The envelope of a GET."""
        return (await self.ask("GET", path)).json

    async def data(self, method: str, path: str, body: Any = None) -> Any:
        """The data of a request that must succeed."""
        answer = await self.ask(method, path, body)
        assert answer.succeeded, (method, path, answer)
        return answer.json.get("data")

    async def refusal(self, method: str, path: str, body: Any = None) -> str:
        """The message of a request that must be refused."""
        answer = await self.ask(method, path, body)
        assert answer.status == 200, answer
        assert answer.json["success"] is False, answer
        return str(answer.json["message"])

    async def log_in(self, name: str, password: str = PASSWORD) -> "Client":
        """Log in and keep the cookie."""
        answer = await self.ask("POST", "/api/user/login", {"username": name, "password": password})
        assert answer.succeeded, answer
        return self


@dataclass
class Service:
    """The running service, and people who use it."""

    url: str
    store: Store
    context: Context
    server: HTTPServer

    def anonymous(self, **headers: str) -> Client:
        """Somebody without a session."""
        return Client(self.url, headers)

    async def root(self) -> Client:
        """The first user, logged in."""
        return await Client(self.url).log_in("root", ROOT_PASSWORD)

    async def client(self, name: str) -> Client:
        """A user who exists, logged in."""
        return await Client(self.url).log_in(name)

    async def person(self, name: str, role: int = ROLE_USER, **columns: Any) -> User:
        """A new user with the usual password."""
        given = {
            "username": name,
            "password": HASH,
            "display_name": name,
            "role": role,
            "status": STATUS_ENABLED,
            "access_token": f"{name:-<32}",
            "aff_code": name,
            **columns,
        }
        return await self.store.users.insert(given)

    async def log_in_new(self, name: str, role: int = ROLE_USER, **columns: Any) -> Client:
        """A new user, logged in."""
        await self.person(name, role, **columns)
        return await self.client(name)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """What the service is started with; a test module may replace it."""
    return Settings(
        database_path=tmp_path / "one-api.db",
        session_secret="the secret of this test",
        trusted_proxies=tuple(ip_network(text) for text in PRIVATE_PEERS.split(",")),
        global_api_rate_limit=0,
        global_web_rate_limit=0,
    )


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[Service]:
    store = await Store.open(settings.database_path)
    await store.users.ensure_root(password_hash=ROOT_HASH, access_token="r" * 32, token_key="")
    upstream = UpstreamClient()
    context = Context(
        settings=settings,
        store=store,
        pipeline=None,  # type: ignore[arg-type]  # management never relays
        proxy=None,  # type: ignore[arg-type]
        tester=ChannelTester(upstream, settings.test_prompt),
        balances=Balances(upstream),
    )
    server = HTTPServer(await tasks.run_blocking(application, context))  # it reads files
    await server.start("127.0.0.1", 0)
    yield Service(server.url, store, context, server)
    await server.stop(1.0)
    await tasks.drain(5.0)
    await upstream.close()
    await store.close()


@dataclass
class People:
    """One logged-in user of each kind."""

    user: Client
    admin: Client
    root: Client
    disabled: Client


@pytest.fixture
async def people(service: Service) -> People:
    user = await service.log_in_new("alice")
    admin = await service.log_in_new("ada", ROLE_ADMIN)
    disabled = await service.log_in_new("dora")
    await service.store.users.update(4, {"status": STATUS_DISABLED})
    return People(user, admin, await service.root(), disabled)
