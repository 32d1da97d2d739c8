"""The browser's session: a signed cookie that names a user and the password it was opened with.

The cookie holds no rights: the user is read again for each request, so a role, a ban or a deletion counts at
once, and a new password ends every session that was opened with the old one.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

import orjson

COOKIE = "session"
LIFETIME_S = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """What a valid cookie says. ``password`` is a fingerprint of the hash at log-in."""

    user_id: int
    password: str
    default_password: bool  # opened with the documented first password of root


class Sessions:
    """Writes and reads session cookies with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, user_id: int, password_hash: str, *, default_password: bool = False) -> str:
        """A new cookie value for a user."""
        payload = {
            "id": user_id,
            "at": int(time.time()),
            "pw": self._fingerprint(password_hash),
            "nonce": secrets.token_urlsafe(9),
        }
        if default_password:
            payload["default"] = True
        text = _encode(orjson.dumps(payload))
        return f"{text}.{_encode(self._mac(text))}"

    def read(self, cookie: str) -> Session | None:
        """What ``cookie`` says; None when it is forged, broken or too old."""
        text, _, mac = cookie.partition(".")
        if not hmac.compare_digest(_encode(self._mac(text)).encode(), mac.encode()):
            return None
        try:
            payload = orjson.loads(_decode(text))
            session = Session(payload["id"], payload["pw"], payload.get("default", False))
            age_s = time.time() - payload["at"]
        except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
            return None
        return session if age_s < LIFETIME_S else None

    def belongs_to(self, session: Session, password_hash: str) -> bool:
        """Whether the password is still the one that the session was opened with."""
        return hmac.compare_digest(session.password, self._fingerprint(password_hash))

    def _mac(self, text: str) -> bytes:
        return hmac.digest(self._secret, f"{COOKIE}|{text}".encode(), hashlib.sha256)

    def _fingerprint(self, password_hash: str) -> str:
        return hmac.digest(self._secret, f"password|{password_hash}".encode(), hashlib.sha256).hex()[:16]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
