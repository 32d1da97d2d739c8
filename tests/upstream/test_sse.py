"""Event streams, cut in every way."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneapi.errors import Failure, UpstreamError
from oneapi.upstream.sse import SSEDecoder
from oneapi.wire import Event

CASES = {
    "one event": (b"data: 1\n\n", [Event(b"1")]),
    "two events": (b"data: 1\n\ndata: 2\n\n", [Event(b"1"), Event(b"2")]),
    "crlf": (b"data: 1\r\n\r\ndata: 2\r\n\r\n", [Event(b"1"), Event(b"2")]),
    "cr": (b"data: 1\r\rdata: 2\r\r", [Event(b"1"), Event(b"2")]),
    "mixed line ends": (
        b"data: 1\r\n\ndata: 2\n\r\n\rdata: 3\r\n\r",
        [Event(b"1"), Event(b"2"), Event(b"3")],
    ),
    "no space": (b"data:1\n\ndata:  2\n\n", [Event(b"1"), Event(b" 2")]),
    "comments": (b": hi\n\n:\n\n:x\ndata: 1\n: y\n\n", [Event(b"1")]),
    "several data lines": (b"data: 1\ndata:\ndata: 2\n\n", [Event(b"1\n\n2")]),
    "empty data": (b"data:\n\ndata\n\n", [Event(b""), Event(b"")]),
    "byte order mark": (b"\xef\xbb\xbfdata: 1\n\n", [Event(b"1")]),
    "byte order mark before a name": (b"\xef\xbb\xbfevent: a\ndata: 1\n\n", [Event(b"1", "a")]),
    "byte order mark later": (b"\n\xef\xbb\xbfdata: 1\n\ndata: 2\n\n", [Event(b"2")]),
    "names": (
        b"event: a\ndata: 1\n\nevent:b\r\ndata: 2\n\ndata: 3\n\n",
        [Event(b"1", "a"), Event(b"2", "b"), Event(b"3")],
    ),
    "a name alone": (b"event: ping\n\ndata: 1\n\n", [Event(b"1")]),
    "a name that is not utf-8": (b"event: \xff\ndata: 1\n\n", [Event(b"1", "\ufffd")]),
    "other fields": (b"id: 7\nretry: 10\nnonsense\ndatum: x\ndata: 1\n\n", [Event(b"1")]),
    "no blank line at the end": (b"data: 1\n\ndata: 2\n", [Event(b"1"), Event(b"2")]),
    "no line end at the end": (b"data: 1\n\nevent: e\ndata: 2", [Event(b"1"), Event(b"2", "e")]),
    "a carriage return at the end": (b"data: 1\r", [Event(b"1")]),
    "characters of several bytes": ("data: 你好\n\n".encode(), [Event("你好".encode())]),
    "nothing": (b"", []),
    "blank lines": (b"\n\r\n\r\n\n", []),
}


def decode(data: bytes, cuts: list[int]) -> list[Event]:
    decoder = SSEDecoder()
    bounds = [0, *sorted(cuts), len(data)]
    events = []
    for start, end in pairwise(bounds):
        events += decoder.feed(data[start:end])
    return events + decoder.finish()


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20], ids=["byte by byte", "pairs", "ragged", "whole"])
@pytest.mark.parametrize(("data", "events"), CASES.values(), ids=CASES)
def test_events_do_not_depend_on_how_the_bytes_are_cut(data: bytes, events: list[Event], size: int) -> None:
    assert decode(data, list(range(size, len(data), size))) == events


TEXTS = st.lists(
    st.sampled_from(
        [b"data: ", b"data:", b"\n", b"\r", b"\r\n", b"event: n", b"x", b"\xef\xbb\xbf", b": c", "é".encode()]
    ),
    max_size=30,
).map(b"".join)


@given(data=TEXTS, cuts=st.lists(st.integers(0, 200), max_size=20))
def test_any_cut_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    assert decode(data, [min(cut, len(data)) for cut in cuts]) == decode(data, [])


PIECES = [
    b"data: 1\n\n",
    b"data:  2 \n\n",
    b"data: \n\n",
    b"data: 3\ndata: 4\n\n",
    b"data: 5\r\n\r\n",
    b"data: 6\rdata: 7\n\n",
    b"data: 8\n",
    b"data: 9\n\ndata: 10\n\n",
    b"event: e\n",
    b"data: \r\n",
    b"\n",
    b"data: ",
    b"",
]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=8))
def test_whole_events_as_pieces_are_the_same_as_their_bytes(pieces: list[bytes]) -> None:
    decoder = SSEDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()
    assert events == decode(b"".join(pieces), [])


def test_an_event_is_there_as_soon_as_its_blank_line_is() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: 1\r\n\r") == [Event(b"1")]
    assert decoder.feed(b"\ndata: 2\n") == []
    assert decoder.feed(b"\n") == [Event(b"2")]
    assert decoder.feed(b"data: 3\n\n") == [Event(b"3")]
    assert decoder.feed(b"data: 4\n\n") == [Event(b"4")]
    assert decoder.finish() == []


@pytest.mark.parametrize(
    "unit", [b"x", b"data: x\n", b"data\n", b"data:\n"], ids=["line", "lines", "names", "empty"]
)
def test_an_event_without_end_meets_the_memory_limit(unit: bytes) -> None:
    decoder = SSEDecoder(limit_bytes=1000)

    def feed_on() -> None:
        for _ in range(1001):
            decoder.feed(unit)

    with pytest.raises(UpstreamError) as caught:
        feed_on()
    assert caught.value.failure is Failure.PROTOCOL


def test_the_memory_limit_counts_one_event_not_the_stream() -> None:
    decoder = SSEDecoder(limit_bytes=100)
    for _ in range(100):
        assert decoder.feed(b"data: 123\ndata: 456\n\n" * 10 + b": " + b"c" * 50) == [Event(b"123\n456")] * 10
        assert decoder.feed(b"\n") == []


@pytest.mark.parametrize(
    "data",
    [b"data: " + b"x" * 300_000 + b"\n\n", b"data: xxxxxxxxxx\n" * 19_000 + b"\n"],
    ids=["line", "lines"],
)
def test_the_time_is_linear_in_the_size(data: bytes) -> None:
    def seconds(size: int) -> float:
        decoder = SSEDecoder()
        started = time.thread_time()
        for at in range(size):
            decoder.feed(data[at : at + 1])
        return time.thread_time() - started

    small = min(seconds(30_000) for _ in range(3))
    assert seconds(len(data)) < small * 10 * 5
