"""URLs as requests name them."""

import ssl
from pathlib import Path

import pytest

from oneapi.upstream import target, tls


@pytest.mark.parametrize(
    ("url", "origin", "host_header", "path"),
    [
        ("https://api.example.com/v1/chat", "https://api.example.com:443", "api.example.com", "/v1/chat"),
        ("http://api.example.com", "http://api.example.com:80", "api.example.com", "/"),
        ("HTTP://API.Example.com:80/", "http://api.example.com:80", "api.example.com", "/"),
        ("http://h:8080?a=1", "http://h:8080", "h:8080", "/?a=1"),
        ("https://h:80/", "https://h:80", "h:80", "/"),
        ("http://[::1]:8080/x", "http://[::1]:8080", "[::1]:8080", "/x"),
        ("http://[2001:DB8::1]/", "http://[2001:db8::1]:80", "[2001:db8::1]", "/"),
        ("http://user:secret@h/x#part", "http://h:80", "h", "/x"),
        (
            "https://bücher.example/ä b?q=ö c",
            "https://xn--bcher-kva.example:443",
            "xn--bcher-kva.example",
            "/%C3%A4%20b?q=%C3%B6%20c",
        ),
        ("http://h/a%20b%2Fc?d=%26&e=[1]", "http://h:80", "h", "/a%20b%2Fc?d=%26&e=[1]"),
        (
            "http://h/models/gemini:generateContent?key=k",
            "http://h:80",
            "h",
            "/models/gemini:generateContent?key=k",
        ),
        ("http://under_score.example/", "http://under_score.example:80", "under_score.example", "/"),
    ],
)
def test_a_url_names_an_origin_and_a_path(url: str, origin: str, host_header: str, path: str) -> None:
    parsed = target.parse(url)
    assert (parsed.origin, parsed.host_header, parsed.path) == (origin, host_header, path)


def test_a_system_without_roots_trusts_the_bundled_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert tls.default_context().cert_store_stats()["x509_ca"] > 50


def test_the_default_trust_checks_chains_and_names() -> None:
    context = tls.default_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
