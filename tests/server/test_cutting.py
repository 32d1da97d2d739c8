"""However bytes are cut, the readers without I/O come to the same result."""

from hypothesis import example, given
from hypothesis import strategies as st

from oneapi.errors import ClientError
from oneapi.server import Limits
from oneapi.server.chunked import ChunkedBody
from oneapi.server.request import HeadReader, KnownHeads

LIMITS = Limits(head_bytes=400, target_bytes=50, header_count=5)
KNOWN: KnownHeads = {}  # one for all examples: what was remembered must not show
HEAD_PARTS = st.sampled_from(
    (
        b"GET / HTTP/1.1\r\n",
        b"POST /x?y=1 HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"Host: a\r\n",
        b"X: \xe4\r\n",
        b"\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"X" * 60,
        b"Y: " + b"y" * 200,
        b"\r",
        b"\n",
        b" ",
        b":",
        b"\0",
        b"\r\n\r\n",
        b"Upgrade: h2c\r\nConnection: upgrade\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
    )
)
CHUNK_PARTS = st.sampled_from(
    (
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"0\r\n",
        b"X: y\r\n",
        b"3;a=b\r\nabc\r\n",
        b"00a \r\n0123456789\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"-1\r\n",
        b"f",
        b"FFFFFFFFFFFFFFFFFF\r\n",
        b"64\r\n",
        b";" + b"x" * 5000,
    )
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]


def read_head(parts: list[bytes]) -> object:
    reader = HeadReader(LIMITS, KNOWN)
    for n, part in enumerate(parts):
        try:
            complete = reader.feed(part)
        except ClientError:
            return "refused"  # for which of several reasons may depend on what was seen first
        if complete is not None:
            head, headers, length, rest = complete
            assert b"".join(parts).endswith(rest + b"".join(parts[n + 1 :]))
            return head.start_line, dict(headers), length, head.keep_alive
    return reader.started


def read_chunks(parts: list[bytes]) -> object:
    body, read = ChunkedBody(50), b""
    for n, part in enumerate(parts):
        try:
            read += body.feed(part)
        except ClientError as exc:
            return exc.status
        if body.done:
            return read, body.rest + b"".join(parts[n + 1 :])
    return read


@given(st.lists(HEAD_PARTS, min_size=1, max_size=9).map(b"".join), st.lists(st.integers(0, 2000), max_size=8))
@example(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", [1, 2, 3])
@example(b"\r\r\n\r\n", [2])
def test_a_head_does_not_depend_on_how_it_is_cut(data: bytes, cuts: list[int]) -> None:
    whole = read_head([data])
    assert read_head(pieces(data, cuts)) == whole
    assert read_head([bytes((byte,)) for byte in data]) == whole


@given(
    st.lists(CHUNK_PARTS, min_size=1, max_size=9).map(b"".join), st.lists(st.integers(0, 9000), max_size=8)
)
def test_a_chunked_body_does_not_depend_on_how_it_is_cut(data: bytes, cuts: list[int]) -> None:
    whole = read_chunks([data])
    assert read_chunks(pieces(data, cuts)) == whole
    assert read_chunks([bytes((byte,)) for byte in data]) == whole
