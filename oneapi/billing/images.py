"""What a picture in a prompt costs in tokens: its size from the head of a data URL, then OpenAI's tiles."""

import base64
import binascii
import math
from typing import Any

TILE = 512
LONGEST_SIDE = 2048
SHORTEST_SIDE = 768
# A photograph's JPEG may carry a preview and colour tables before it says how large it is.
HEAD_BYTES = 512 * 1024
# Start of frame: every SOFn but the three codes between them that are tables (DHT, JPG, DAC).
JPEG_FRAMES = frozenset((*range(0xC0, 0xD0),)) - {0xC4, 0xC8, 0xCC}
JPEG_BARE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
BASE_TOKENS, TILE_TOKENS = 85, 170
MINI_BASE_TOKENS, MINI_TILE_TOKENS = 2833, 5667
# A picture that cannot be looked at (a remote address, an unknown format) is taken for one of no size.
NO_SIZE = (0, 0)


def image_tokens(image: Any, model: str) -> int:
    """Tokens of an ``image_url`` value: an object with ``url`` and ``detail``, or the address itself.

    Nothing is fetched: a remote picture counts its base amount.
    """
    url = image.get("url") if isinstance(image, dict) else image
    detail = image.get("detail") if isinstance(image, dict) else None
    mini = model.startswith("gpt-4o-mini")
    base, each = (MINI_BASE_TOKENS, MINI_TILE_TOKENS) if mini else (BASE_TOKENS, TILE_TOKENS)
    if detail == "low":
        return base
    if detail not in (None, "", "auto", "high"):
        return 0
    return base + each * tiles(*data_url_size(url)) if isinstance(url, str) else base


def tiles(width: int, height: int) -> int:
    """Squares of 512 pixels, after the picture was made to fit 2048 pixels and 768 on its short side."""
    if max(width, height) > LONGEST_SIDE:
        scale = LONGEST_SIDE / max(width, height)
        width, height = int(width * scale), int(height * scale)
    if min(width, height) > SHORTEST_SIDE:
        scale = SHORTEST_SIDE / min(width, height)
        width, height = int(width * scale), int(height * scale)
    return math.ceil(width / TILE) * math.ceil(height / TILE)


def data_url_size(url: str) -> tuple[int, int]:
    """Width and height of the picture in a base64 data URL, zeros when it cannot be told."""
    comma = url.find(",", 0, 200)
    head = url[:comma].lower()
    if comma < 0 or not head.startswith("data:") or not head.endswith(";base64"):
        return NO_SIZE
    start = comma + 1
    encoded = url[start : start + HEAD_BYTES // 3 * 4].replace("\n", "").replace("\r", "")
    try:
        return picture_size(base64.b64decode(encoded[: len(encoded) // 4 * 4]))
    except (binascii.Error, ValueError):
        return NO_SIZE


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height by the head of a PNG, JPEG, GIF or WebP file, zeros for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        return _big(data, 16, 4), _big(data, 20, 4)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _little(data, 6, 2), _little(data, 8, 2)
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp_size(data)
    return NO_SIZE


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in JPEG_FRAMES:
            return _big(data, at + 7, 2), _big(data, at + 5, 2)
        if marker == 0xFF or marker in JPEG_BARE:
            at += 1 if marker == 0xFF else 2
        else:
            at += 2 + _big(data, at + 2, 2)
    return NO_SIZE


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
    if kind == b"VP8L" and data[20:21] == b"\x2f":
        bits = _little(data, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
    return NO_SIZE


def _big(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _little(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")
