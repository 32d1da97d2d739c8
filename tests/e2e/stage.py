"""What a test of the running program stands on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import openai
import orjson

from oneapi.wire import Json
from tests.support.admin import Admin, Answer, IssuedToken, fetch
from tests.support.program import Program
from tests.support.upstream import Behaviour, Seen, Upstream
from tests.support.vendor import Vendor

# The suite asks more than a person would, and the limits have tests of their own.
SETTINGS = {"GLOBAL_API_RATE_LIMIT": "0", "GLOBAL_WEB_RATE_LIMIT": "0"}
RATIO = 30  # of a model that no price table names
HELLO: list[Any] = [{"role": "user", "content": "hi"}]


@dataclass(frozen=True)
class Place:
    """A channel and where it points to."""

    id: int
    base_url: str


class Stage:
    """One model that nobody else uses, served by the channels that the test adds, paid by a limited token."""

    limit = 60_000_000

    def __init__(self, program: Program, admin: Admin, upstream: Upstream, model: str) -> None:
        self.program = program
        self.admin = admin
        self.upstream = upstream
        self.model = model
        self.token = self.new_token(self.limit)

    def new_token(self, limit: int, name: str = "") -> IssuedToken:
        """A token that may spend ``limit`` units."""
        name = name or "t-" + self.model
        return self.admin.add_token(name=name, unlimited_quota=False, remain_quota=limit)

    def channel(self, behaviour: Behaviour | None = None, **fields: object) -> Place:
        """A channel that serves this test's model; by default from a well-behaved vendor."""
        base_url = self.upstream.at(behaviour or Vendor())
        number = self.admin.add_channel(**{"models": self.model, "base_url": base_url, **fields})
        return Place(number, base_url)

    def seen(self, place: Place) -> list[Seen]:
        """The requests that reached a channel's upstream."""
        return self.upstream.requests(place.base_url)

    @cached_property
    def api(self) -> openai.OpenAI:
        """The official client with this test's token. It does not retry by itself."""
        return self.client(self.token.key)

    def client(self, key: str) -> openai.OpenAI:
        """The official client with another key."""
        return openai.OpenAI(api_key=key, base_url=self.program.url + "/v1", max_retries=0, timeout=20)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        """A request without the official client. ``body`` may be bytes."""
        sent = {"Authorization": "Bearer " + self.token.key, "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        return fetch(self.program.url, "POST", path, body=data, headers=sent)

    def chat(self, **fields: object) -> Answer:
        """A chat request without the official client."""
        return self.post("/v1/chat/completions", {"model": self.model, "messages": HELLO, **fields})

    def logs(self) -> list[Json]:
        """What was charged for this test so far, newest first."""
        return self.admin.logs(token_name=self.token.name)

    def log(self) -> Json:
        """The only row that was charged."""
        (row,) = self.admin.wait_for_logs(1, token_name=self.token.name)
        return row

    def spent(self) -> int:
        """What the token has paid so far."""
        row = self.admin.token(self.token.id)
        assert row["remain_quota"] + row["used_quota"] == self.limit
        used: int = row["used_quota"]
        return used

    def assert_charged(self, tokens: tuple[int, int], request_id: str, places: Sequence[Place] = ()) -> None:
        """One row of ``tokens`` (prompt, completion) at the standard price, everywhere the same."""
        row = self.log()
        quota = sum(tokens) * RATIO
        assert (row["prompt_tokens"], row["completion_tokens"]) == tokens
        assert row["quota"] == quota
        assert row["request_id"] == request_id
        assert row["model_name"] == self.model
        assert self.spent() == quota
        for place in places:
            assert self.admin.channel(place.id)["used_quota"] == quota

    def assert_nothing_charged(self) -> None:
        """No row, no quota."""
        assert self.logs() == []
        assert self.spent() == 0


def mapping(model: str, target: str) -> str:
    """A channel's ``model_mapping`` of one model."""
    return orjson.dumps({model: target}).decode()


def events(body: bytes) -> list[Any]:
    """The payloads of an event stream; ``[DONE]`` as text. Nothing but ``data:`` lines may be in it."""
    found: list[Any] = []
    for line in body.split(b"\n"):
        if line:
            assert line.startswith(b"data: "), line
            payload = line.removeprefix(b"data: ")
            found.append("[DONE]" if payload == b"[DONE]" else orjson.loads(payload))
    return found


def text_of(chunks: Sequence[Any]) -> str:
    """The content of streamed chunks, raw ones or the official client's."""
    plain = [c if isinstance(c, dict) else c.model_dump() for c in chunks if c != "[DONE]"]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in plain if c.get("choices"))
