"""The web page, from memory; and the answer to every path that nobody serves."""

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oneapi.handlers.base import Base, Services
from oneapi.handlers.token_route import preflight

# As in One API, a week. The page itself is always asked for again: it names the others.
_FILE_CACHE = "max-age=604800"
_PAGE_CACHE = "no-cache"
_PAGE = "index.html"
# Nothing from elsewhere runs here, and nobody frames the page.
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# What a system's own table may lack or have wrong.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_SMALLEST_GZIP_BYTES = 256


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file of the page. ``zipped`` is None where compression gains nothing."""

    body: bytes
    zipped: bytes | None
    content_type: str
    etag: str


def load(folder: Path) -> Mapping[str, WebFile]:
    """All files in ``folder`` by their path with slashes. A ``.gz`` beside a file is its compressed form."""
    files = {
        path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
    }
    return {
        name: _file(path, files.get(name + ".gz")) for name, path in files.items() if not name.endswith(".gz")
    }


def _file(path: Path, zipped_path: Path | None) -> WebFile:
    body = path.read_bytes()
    kind = _TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    zipped: bytes | None = None
    if zipped_path is not None:
        zipped = zipped_path.read_bytes()
    elif len(body) >= _SMALLEST_GZIP_BYTES and not kind.startswith(("image/png", "image/jpeg", "font/")):
        zipped = gzip.compress(body, mtime=0)
    return WebFile(body, zipped, kind, f'"{hashlib.sha256(body).hexdigest()[:20]}"')


class Web(Base):
    """A file, else the page, whose script knows the path; unknown paths of the APIs are errors."""

    def initialize(self, services: Services, files: Mapping[str, WebFile]) -> None:
        """Take over what ``routes`` gave."""
        self.services = services
        self._files = files

    def get(self, *_: str) -> None:
        """Answer any method: One API does not tell them apart here."""
        path = self.request.path
        if path.startswith("/v1"):
            if self.request.method == "OPTIONS":
                preflight(self)
            else:
                self.not_found()
            return
        is_api = path.startswith("/api")
        if not self.admitted(self.services.api_limit if is_api else self.services.web_limit):
            return
        if is_api:
            self.not_found()
        elif path == "/index.html":
            self.set_header("Location", "./")
            self.set_status(301)
            self.finish()
        else:
            name = path.lstrip("/") or _PAGE
            self._send(self._files.get(name) or self._files[_PAGE])

    head = post = put = delete = patch = options = get

    def _send(self, file: WebFile) -> None:
        is_page = file is self._files[_PAGE]
        self.set_header("Content-Type", file.content_type)
        self.set_header("Cache-Control", _PAGE_CACHE if is_page else _FILE_CACHE)
        self.set_header("Content-Security-Policy", _CONTENT_SECURITY_POLICY)
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("ETag", file.etag)
        if file.zipped is not None:
            self.set_header("Vary", "Accept-Encoding")
        if self.request.method in ("GET", "HEAD") and self.check_etag_header():
            self.set_status(304)
            self.finish()
            return
        body = file.body
        if file.zipped is not None and self.reads_gzip():
            self.set_header("Content-Encoding", "gzip")
            body = file.zipped
        self.finish(body)
