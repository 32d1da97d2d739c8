"""The web page from memory."""

import gzip
from pathlib import Path

import pytest

from oneapi.handlers import static
from tests.handlers.conftest import Service


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/token"), ("POST", "/some/page"), ("GET", "/login/"), ("PUT", "/")],
)
async def test_the_page_answers_every_path_that_nobody_else_serves(
    service: Service, method: str, path: str
) -> None:
    answer = await service.anonymous().ask(method, path)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-cache"
    assert b"One API" in answer.body


async def test_nothing_from_elsewhere_runs_in_the_page_and_nobody_frames_it(service: Service) -> None:
    headers = (await service.anonymous().ask("GET", "/")).headers
    policy = headers["content-security-policy"].split("; ")
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "object-src 'none'" in policy
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


async def test_files_are_kept_for_a_week_and_not_sent_twice(service: Service) -> None:
    client = service.anonymous()
    first = await client.ask("GET", "/page.css")
    assert first.headers["content-type"] == "text/css; charset=utf-8"
    assert first.headers["cache-control"] == "max-age=604800"
    again = await client.ask("GET", "/page.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    other = await client.ask("GET", "/page.js", headers={"If-None-Match": first.headers["etag"]})
    assert other.status == 200


async def test_files_are_compressed_for_clients_that_can_read_it(service: Service) -> None:
    plain = await service.anonymous().ask("GET", "/")
    zipped = await service.anonymous(**{"Accept-Encoding": "gzip"}).ask("GET", "/")
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) < len(plain.body)


async def test_the_name_of_the_page_leads_to_the_folder(service: Service) -> None:
    answer = await service.anonymous().ask("GET", "/index.html")
    assert (answer.status, answer.headers["location"]) == (301, "./")


@pytest.mark.parametrize("path", ["/../oneapi.py", "/%2e%2e/oneapi.py", "//etc/passwd", "/page.css/../../x"])
async def test_nothing_but_the_files_of_the_page_is_served(service: Service, path: str) -> None:
    answer = await service.anonymous().ask("GET", path)
    assert answer.body == (await service.anonymous().ask("GET", "/")).body


def test_a_compressed_copy_beside_a_file_is_used_and_not_served_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(b"<p>" * 500)
    (tmp_path / "assets" / "app.js").write_bytes(b"let a = 1;\n")
    (tmp_path / "assets" / "app.js.gz").write_bytes(gzip.compress(b"let a = 1;\n", mtime=0))
    (tmp_path / "logo.png").write_bytes(b"\x89PNG" + bytes(range(256)) * 4)
    files = static.load(tmp_path)
    assert set(files) == {"index.html", "assets/app.js", "logo.png"}
    script = files["assets/app.js"]
    assert script.zipped is not None
    assert gzip.decompress(script.zipped) == script.body
    assert script.content_type == "text/javascript; charset=utf-8"
    assert (files["logo.png"].zipped, files["logo.png"].content_type) == (None, "image/png")
    assert len({file.etag for file in files.values()}) == 3
