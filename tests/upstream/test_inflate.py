"""Compressed answers, by an upstream that compresses although it was asked not to."""

import gzip
import os
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # it has no annotations
import pytest

from oneapi.errors import Failure, UpstreamError
from oneapi.upstream import Client
from oneapi.upstream.inflate import OUTPUT_BYTES, make_inflater
from tests.upstream.conftest import Serve
from tests.upstream.peer import answers, chunked, reply

BODY = b'{"text": "' + b"hello " * 100_000 + os.urandom(20_000).hex().encode() + b'"}'


def bare_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "two members": ("gzip", lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:])),
    "padding": ("gzip", lambda data: gzip.compress(data) + b"\0" * 20),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare_deflate),
    "br": ("br", brotli.compress),
    "identity": ("identity", lambda data: data),
    "identity and gzip": ("identity, gzip", gzip.compress),
}


def inflate(coding: str, data: bytes, size: int) -> bytes:
    inflater = make_inflater(coding)
    assert inflater is not None
    out = b""
    for at in range(0, len(data), size):
        out += inflater.inflate(data[at : at + size])
        while inflater.pending:
            out += inflater.inflate(b"")
    inflater.finish()
    return out


@pytest.mark.parametrize("size", [1, 7, 1 << 20], ids=["byte by byte", "ragged", "whole"])
@pytest.mark.parametrize("name", [name for name in CODINGS if name != "identity"])
def test_a_coded_body_may_be_cut_anywhere(name: str, size: int) -> None:
    coding, encode = CODINGS[name]
    assert inflate(coding, encode(BODY), size) == BODY


@pytest.mark.parametrize("name", CODINGS)
async def test_an_answer_is_decoded(client: Client, serve: Serve, name: str) -> None:
    coding, encode = CODINGS[name]
    coded = encode(BODY)
    header = f"Content-Encoding: {coding}\r\n"
    server = await serve(answers(reply(coded, headers=header), chunked(coded[:5], coded[5:], headers=header)))
    for _ in range(2):
        response = await client.send(server.request())
        assert await response.read(len(BODY)) == BODY
        if name != "identity":
            assert response.header("content-encoding") == response.header("content-length") == ""
        with pytest.raises(UpstreamError, match="larger than the limit"):
            await (await client.send(server.request())).read(len(BODY) - 1)


async def test_a_caller_may_have_the_bytes_as_they_were_sent(client: Client, serve: Serve) -> None:
    coded = gzip.compress(BODY)
    server = await serve(answers(reply(coded, headers="Content-Encoding: gzip\r\n")))
    response = await client.send(server.request(), decode=False)
    assert await response.read(len(coded)) == coded
    assert response.header("content-encoding") == "gzip"
    assert response.header("content-length") == str(len(coded))


async def test_events_are_decoded_as_they_arrive(client: Client, serve: Serve) -> None:
    engine = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    pieces = [engine.compress(b"data: %d\n\n" % n) + engine.flush(zlib.Z_SYNC_FLUSH) for n in range(3)]
    server = await serve(answers(chunked(*pieces, engine.flush(), headers="Content-Encoding: gzip\r\n")))
    response = await client.send(server.request())
    text = b""
    while piece := await response.piece():
        text += piece
    assert text == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert client.idle_connections == 1


@pytest.mark.parametrize("coding", ["gzip", "br"])
async def test_a_bomb_is_handed_out_in_bounded_pieces(client: Client, serve: Serve, coding: str) -> None:
    zeros = b"\0" * 10_000_000
    bomb = gzip.compress(zeros) if coding == "gzip" else brotli.compress(zeros, quality=1)
    server = await serve(answers(reply(bomb, headers=f"Content-Encoding: {coding}\r\n")))
    response = await client.send(server.request())
    assert len(await response.piece()) <= 2 * OUTPUT_BYTES
    with pytest.raises(UpstreamError, match="larger than the limit"):
        await response.read(1_000_000)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"\x1f\x8bnot gzip at all"),
        ("gzip", gzip.compress(BODY)[:-10]),
        ("gzip", gzip.compress(BODY)[:1]),
        ("deflate", b"\xff\xff\xff\xff"),
        ("br", b"\xff\xff\xff\xff"),
        ("br", brotli.compress(BODY)[:-10]),
        ("zstd", b"what is this"),
        ("gzip, br", b"one in the other"),
    ],
)
async def test_a_coded_body_that_cannot_be_read_is_a_protocol_failure(
    client: Client, serve: Serve, coding: str, body: bytes
) -> None:
    server = await serve(answers(reply(body, headers=f"Content-Encoding: {coding}\r\n")))
    response = await client.send(server.request())
    assert response.status == 200
    with pytest.raises(UpstreamError) as caught:
        await response.read(len(BODY))
    assert caught.value.failure is Failure.PROTOCOL


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_an_empty_body_needs_no_decoding(client: Client, serve: Serve, coding: str) -> None:
    server = await serve(answers(reply(b"", headers=f"Content-Encoding: {coding}\r\n")))
    assert await (await client.send(server.request())).read(10) == b""
