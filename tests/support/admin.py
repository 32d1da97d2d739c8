"""The management API as an administrator's script uses it: a cookie, JSON in, the envelope's data out."""

import http.client
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from oneapi.wire import Json


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end. Header names are lower-case; of repeated ones the last counts."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return orjson.loads(self.body)

    @property
    def succeeded(self) -> bool:
        """Whether the management API's envelope says so."""
        return self.status == 200 and bool(self.json["success"])


@dataclass(frozen=True)
class IssuedToken:
    """A token that was created: its id, its name and the key that clients send."""

    id: int
    name: str
    key: str = field(repr=False)


def fetch(
    base: str, method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """One request on a connection of its own. ``path`` keeps its query."""
    split = urlsplit(base)
    connection = http.client.HTTPConnection(str(split.hostname), split.port, timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        answered = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, answered, response.read())
    finally:
        connection.close()


class Admin:
    """A logged-in session."""

    def __init__(self, base: str, username: str = "root", password: str = "123456") -> None:
        self.base = base
        self._cookie = ""
        self.me = self.login(username, password)

    def login(self, username: str, password: str) -> Json:
        """Log in and keep the cookie; the answered user."""
        body = orjson.dumps({"username": username, "password": password})
        answer = fetch(
            self.base, "POST", "/api/user/login", body=body, headers={"Content-Type": "application/json"}
        )
        assert answer.succeeded, answer
        self._cookie = answer.headers["set-cookie"].split(";")[0]
        user: Json = answer.json["data"]
        return user

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """The raw answer to a request of this session."""
        headers = {"Cookie": self._cookie}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return fetch(
            self.base, method, path, body=None if body is None else orjson.dumps(body), headers=headers
        )

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The ``data`` of a request that must succeed; None when the answer has none."""
        answer = self.ask(method, path, body)
        assert answer.succeeded, (method, path, answer)
        return answer.json.get("data")

    def add_channel(self, **fields: object) -> int:
        """Create one channel; its id."""
        given = {"type": 1, "name": "stand-in", "key": "upstream-key", "group": "default", **fields}
        self.call("POST", "/api/channel/", given)
        return max(int(channel["id"]) for channel in self.call("GET", "/api/channel/?p=0"))

    def add_token(self, **fields: object) -> IssuedToken:
        """Create a token; unlimited unless ``unlimited_quota`` says otherwise."""
        given = {"name": "test", "expired_time": -1, "remain_quota": 0, "unlimited_quota": True, **fields}
        made = self.call("POST", "/api/token/", given)
        return IssuedToken(id=made["id"], name=made["name"], key="sk-" + made["key"])

    def token(self, token_id: int) -> Json:
        """A token of this user as stored now."""
        row: Json = self.call("GET", f"/api/token/{token_id}")
        return row

    def channel(self, channel_id: int) -> Json:
        """A channel as stored now."""
        row: Json = self.call("GET", f"/api/channel/{channel_id}")
        return row

    def user(self) -> Json:
        """The logged-in user as stored now."""
        row: Json = self.call("GET", "/api/user/self")
        return row

    def option(self, key: str, value: str) -> None:
        """Set an option."""
        self.call("PUT", "/api/option/", {"key": key, "value": value})

    def logs(self, **filters: object) -> list[Json]:
        """The consume log's first page, newest first."""
        rows: list[Json] = self.call("GET", "/api/log/?" + urlencode({"p": 0, "type": 2, **filters}))
        return rows

    def wait_for_logs(self, count: int, **filters: object) -> list[Json]:
        """The same as soon as there are ``count`` rows.

        What is counted here, or belongs to a client who left, is settled a moment after the answer.
        """
        deadline = time.monotonic() + 10
        while len(rows := self.logs(**filters)) < count:
            assert time.monotonic() < deadline, f"{len(rows)} of {count} log rows"
            time.sleep(0.02)
        return rows
