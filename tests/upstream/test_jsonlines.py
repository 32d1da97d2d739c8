"""Lines of JSON, cut in every way."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneapi.errors import Failure, UpstreamError
from oneapi.upstream.jsonlines import JSONLinesDecoder
from oneapi.wire import Event

CASES = {
    "one line": (b'{"a":1}\n', [b'{"a":1}']),
    "crlf": (b"1\r\n2\r\n", [b"1", b"2"]),
    "blank lines": (b"\n1\n\n \r\n2\n\n", [b"1", b"2"]),
    "spaces around": (b"  1 \n\t2\n", [b"1", b"2"]),
    "no line end at the end": (b"1\n2", [b"1", b"2"]),
    "byte order mark": (b"\xef\xbb\xbf1\n2\n", [b"1", b"2"]),
    "byte order mark and one line": (b"\xef\xbb\xbf1", [b"1"]),
    "characters of several bytes": ('{"a":"你好"}\n'.encode(), ['{"a":"你好"}'.encode()]),
    "nothing": (b"", []),
}


def decode(data: bytes, cuts: list[int]) -> list[bytes]:
    decoder = JSONLinesDecoder()
    bounds = [0, *sorted(cuts), len(data)]
    events: list[Event] = []
    for start, end in pairwise(bounds):
        events += decoder.feed(data[start:end])
    events += decoder.finish()
    assert all(event.name == "" for event in events)
    return [event.data for event in events]


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20], ids=["byte by byte", "pairs", "ragged", "whole"])
@pytest.mark.parametrize(("data", "lines"), CASES.values(), ids=CASES)
def test_lines_do_not_depend_on_how_the_bytes_are_cut(data: bytes, lines: list[bytes], size: int) -> None:
    assert decode(data, list(range(size, len(data), size))) == lines


@given(
    data=st.lists(
        st.sampled_from([b"{}", b"\n", b"\r\n", b" ", b"\xef\xbb\xbf", "é".encode()]), max_size=30
    ).map(b"".join),
    cuts=st.lists(st.integers(0, 100), max_size=20),
)
def test_any_cut_gives_the_same_lines(data: bytes, cuts: list[int]) -> None:
    assert decode(data, [min(cut, len(data)) for cut in cuts]) == decode(data, [])


def test_a_line_without_end_meets_the_memory_limit() -> None:
    decoder = JSONLinesDecoder(limit_bytes=1000)
    for _ in range(10):
        assert decoder.feed(b"x" * 900 + b"\n" + b"y" * 90) != []
    assert decoder.feed(b"y" * 910) == []
    with pytest.raises(UpstreamError) as caught:
        decoder.feed(b"y")
    assert caught.value.failure is Failure.PROTOCOL
