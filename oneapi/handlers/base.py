"""What all handlers share: one answer per request, in One API's envelope, with limits and identity.

An endpoint is an async function that takes an `Api` and returns the JSON object to answer, mostly made by
`done`. `routes.py` says who may call it. Endpoints refuse by raising `Refusal`.
"""

import gzip
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tornado.web import HTTPError, RequestHandler

from oneapi import log as oneapi_log
from oneapi import request_id
from oneapi.config import Settings
from oneapi.errors import GatewayError
from oneapi.handlers import fields, sessions
from oneapi.handlers.channel_tests import ChannelTests
from oneapi.handlers.client_ip import came_by_tls, client_ip
from oneapi.handlers.context import Context
from oneapi.handlers.encode import json_bytes
from oneapi.handlers.limits import SlidingLog
from oneapi.handlers.passwords import Passwords
from oneapi.store.records import STATUS_ENABLED, User
from oneapi.store.store import Store
from oneapi.wire import Json

log = logging.getLogger(__name__)

JSON_TYPE = "application/json; charset=utf-8"
# Far above any form; it is parsed on the event loop, also for strangers.
MAX_BODY_BYTES = 4 << 20
DEFAULT_PAGE_SIZE = 10
MAX_PAGE_SIZE = 100

# The texts that follow Accept-Language; all others are fixed.
TEXTS = {
    "invalid_parameter": ("invalid parameter", "无效的参数"),
    "invalid_input": ("Invalid input, please check your input", "无效的输入，请检查您的输入"),
}


class Refusal(Exception):  # noqa: N818  it is an answer, not a fault
    """A request that is answered with ``success: false``. One API does that with status 200, mostly."""

    def __init__(self, message: str, *, status: int = 200) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@dataclass(slots=True)
class Services:
    """The running program as handlers see it, and what they keep between requests."""

    context: Context
    sessions: sessions.Sessions
    passwords: Passwords
    tests: ChannelTests
    api_limit: SlidingLog
    web_limit: SlidingLog
    critical_limit: SlidingLog
    started_at: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A function that answers; the least role that may call it (0: anybody); whether it invites guessing."""

    answer: Callable[["Api"], Awaitable[Json]]
    role: int = 0
    critical: bool = False


def done(data: Any = ..., **beside: Any) -> Json:
    """The envelope of a success; without ``data`` it has no such key. Its keys are sorted, as in One API."""
    envelope = {"message": "", "success": True, **beside}
    if data is not ...:
        envelope["data"] = data
    return dict(sorted(envelope.items()))


def refused(message: str) -> Json:
    """The envelope of a failure."""
    return {"message": message, "success": False}


class Base(RequestHandler):
    """Headers, limits, compression and the access line."""

    services: Services
    compresses = True  # relay answers are passed on and never compressed
    request_id = ""

    @property
    def config(self) -> Settings:
        """The operator's settings; ``settings`` is Tornado's."""
        return self.services.context.settings

    @property
    def client_ip(self) -> str:
        """The caller's address, as far as trusted proxies tell."""
        peer = self.request.remote_ip or ""
        return client_ip(self.request.headers, peer, self.config.trusted_proxies)

    def set_default_headers(self) -> None:
        """Start every answer with its id and without Tornado's signature."""
        self.request_id = self.request_id or request_id.new()
        self.clear_header("Server")
        self.set_header("X-Oneapi-Request-Id", self.request_id)
        self.set_header("X-Content-Type-Options", "nosniff")

    def prepare(self) -> None:
        """Name the request in every line that is logged for it."""
        oneapi_log.request_id.set(self.request_id)

    def compute_etag(self) -> str | None:
        """None: answers change, and files bring their own tag."""
        return None

    def admitted(self, *limits: SlidingLog) -> bool:
        """Whether the caller is within ``limits``; if not, the answer is an empty 429."""
        if self.config.debug or all(limit.admits(self.client_ip) for limit in limits):
            return True
        self.set_status(429)
        self.clear_header("Content-Type")
        self.finish()
        return False

    def send_json(self, status: int, value: Any) -> None:
        """Answer with ``value``, compressed if the client can read that."""
        self.set_status(status)
        self.set_header("Content-Type", JSON_TYPE)
        body = json_bytes(value)
        if self.compresses:
            self.set_header("Vary", "Accept-Encoding")
            if self.reads_gzip():
                self.set_header("Content-Encoding", "gzip")
                body = gzip.compress(body, compresslevel=4, mtime=0)
        self.finish(body)

    def reads_gzip(self) -> bool:
        """Whether the client accepts gzip."""
        accepted = self.request.headers.get("Accept-Encoding", "").lower().replace(" ", "").split(",")
        return any(word.startswith("gzip") and not word.endswith(";q=0") for word in accepted)

    def not_found(self) -> None:
        """Answer as One API does for a path or method it does not have."""
        message = f"Invalid URL ({self.request.method} {self.request.path})"
        error = {"message": message, "type": "invalid_request_error", "param": "", "code": ""}
        self.set_header("Cache-Control", "max-age=604800")
        self.send_json(404, {"error": error})

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer what Tornado itself refuses: a method or an encoding that it does not know."""
        del kwargs
        if status_code == 405:
            self.not_found()
        else:
            self.send_json(
                status_code, refused("bad request" if status_code < 500 else "internal error, see the log")
            )

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log once what nobody handled, without Tornado's dump of the request: its headers hold secrets."""
        if not isinstance(value, HTTPError):
            log.error("request failed path=%s", self.request.path, exc_info=(typ, value, tb))

    def on_finish(self) -> None:
        """Write the access line."""
        request = self.request
        seconds = request.request_time()
        status = self.get_status()
        oneapi_log.access(
            self.request_id, status, seconds, self.client_ip, request.method or "", request.uri or ""
        )


class Api(Base):
    """One request to a management endpoint, and what the endpoint needs of it."""

    user: User  # set for endpoints that need a role
    session: sessions.Session | None = None

    def initialize(self, services: Services, endpoints: Mapping[str, Endpoint]) -> None:
        """Take over what ``routes`` gave."""
        self.services = services
        self._endpoints = endpoints

    async def _serve(self, *_: str) -> None:
        services = self.services
        if not self.admitted(services.api_limit):
            return
        endpoint = self._endpoints.get(self.request.method or "")
        if endpoint is None:
            self.not_found()
            return
        if endpoint.critical and not self.admitted(services.critical_limit):
            return
        self.set_header("Cache-Control", "no-store")
        if len(self.request.body) > MAX_BODY_BYTES:
            self.send_json(413, refused("请求体过大 (the request body is too large)"))
            return
        try:
            if endpoint.role:
                await self._identify(endpoint.role)
            answer = await endpoint.answer(self)
        except Refusal as refusal:
            self.send_json(refusal.status, refused(refusal.message))
        except GatewayError as error:
            self.send_json(200, refused(error.message))
        else:
            self.send_json(200, answer)

    get = post = put = delete = patch = options = head = _serve

    @property
    def store(self) -> Store:
        """The store."""
        return self.services.context.store

    # ------------------------------------------------ who

    async def _identify(self, role: int) -> None:
        user = await self._session_user()
        if user is None:
            user = await self._token_user()
        if user.status != STATUS_ENABLED:
            if self.session is not None:
                self.clear_cookie(sessions.COOKIE)
            raise Refusal("用户已被封禁")
        if user.role < role:
            raise Refusal("无权进行此操作，权限不足")
        self.user = user

    async def _session_user(self) -> User | None:
        cookie = self.get_cookie(sessions.COOKIE)
        # A link on a foreign page is followed with the cookie (SameSite=Lax) but must not change anything.
        if not cookie or self.request.headers.get("Sec-Fetch-Site") == "cross-site":
            return None
        session = self.services.sessions.read(cookie)
        if session is None:
            return None
        user = await self.store.users.get(session.user_id)
        if user is None or not self.services.sessions.belongs_to(session, user.password):
            return None
        self.session = session
        return user

    async def _token_user(self) -> User:
        header = self.request.headers.get("Authorization")
        if not header:
            raise Refusal("无权进行此操作，未登录且未提供 access token", status=401)
        user = await self.store.users.by_access_token(header.replace("Bearer ", "", 1).strip())
        if user is None or not user.username:
            raise Refusal("无权进行此操作，access token 无效")
        return user

    def open_session(self, user: User, *, default_password: bool = False) -> None:
        """Set the cookie of a new session."""
        value = self.services.sessions.issue(user.id, user.password, default_password=default_password)
        peer = self.request.remote_ip or ""
        tls = came_by_tls(self.request.headers, peer, self.config.trusted_proxies)
        tls = tls or self.request.protocol == "https"
        self.set_cookie(
            sessions.COOKIE,
            value,
            expires_days=30,
            max_age=sessions.LIFETIME_S,
            httponly=True,
            samesite="Lax",
            secure=tls,
        )

    # ------------------------------------------------ what

    def text(self, key: str) -> str:
        """One of `TEXTS`, in the client's language."""
        english, chinese = TEXTS[key]
        return (
            chinese if self.request.headers.get("Accept-Language", "").lower().startswith("zh") else english
        )

    def query(self, name: str) -> str:
        """A parameter of the query, or ``""``."""
        return self.get_query_argument(name, "", strip=False)

    def query_number(self, name: str) -> int:
        """A whole number of the query; 0 for anything else."""
        return _number(self.query(name)) or 0

    def path_id(self) -> int:
        """The id in the path. Refuses a word."""
        text = self.path_args[0]
        value = _number(text)
        if value is None:
            raise Refusal(f"无效的 id (invalid id): {text[:40]}")
        return value

    def path_id_or_0(self) -> int:
        """The id in the path; 0 for a word."""
        return _number(self.path_args[0]) or 0

    def body(self, known: Mapping[str, fields.Kind]) -> dict[str, Any]:
        """The body's ``known`` fields. Refuses what it cannot read, saying why."""
        try:
            return fields.read(self.request.body, known)
        except fields.BodyError as exc:
            raise Refusal(f"无效的请求 (invalid request): {exc}") from exc

    def body_or(
        self, text_key: str, known: Mapping[str, fields.Kind], *, status: int = 200
    ) -> dict[str, Any]:
        """The body's ``known`` fields. Refuses what it cannot read with one of `TEXTS`."""
        try:
            return fields.read(self.request.body, known)
        except fields.BodyError as exc:
            raise Refusal(self.text(text_key), status=status) from exc

    def page(self) -> tuple[int, int]:
        """``(offset, limit)`` of a list: page ``p`` from 0, of ``page_size`` rows."""
        size = min(self.query_number("page_size"), MAX_PAGE_SIZE)
        if size <= 0:
            size = DEFAULT_PAGE_SIZE
        return min(max(self.query_number("p"), 0), _LAST_PAGE) * size, size

    def listing(self, rows: list[Json], *, total: int | None = None) -> Json:
        """A page of ``rows``; beside it, which page it is and, where known, how many rows there are."""
        offset, size = self.page()
        beside = {"page": offset // size, "page_size": size}
        return done(rows, **beside) if total is None else done(rows, **beside, total=total)


_LAST_PAGE = 10**12


def _number(text: str) -> int | None:
    """A whole number as One API reads one from a path or a query; None for what is none."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None
