"""The two tokenizers, built from vocabularies that are shipped with the program: no network, no cache folder.

A vocabulary file holds every token in the order of its rank, each behind one byte with its length, deflated.
Reading one takes some tenths of a second and 40 to 70 MB, so it happens when text must be counted.
"""

import threading
import zlib
from typing import TYPE_CHECKING

from oneapi import resources

if TYPE_CHECKING:
    from tiktoken import Encoding

CL100K = "cl100k_base"
O200K = "o200k_base"
# How each vocabulary cuts text before it is encoded, in the words of its authors.
PATTERNS = {
    CL100K: (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|"
        r"\s*[\r\n]|\s+(?!\S)|\s"
    ),
    O200K: (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
# Models of the newer vocabulary. Everything else, other vendors' models too, is counted with the older one.
O200K_MODELS = ("gpt-4o", "chatgpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "gpt-oss", "o1", "o3", "o4")
# The tokenizer's matcher recurses on long runs of one kind of character; a cut costs a token at most.
PIECE_CHARACTERS = 50_000

_encodings: dict[str, "Encoding"] = {}
_loading = threading.Lock()


def encoding_name(model: str) -> str:
    """The vocabulary of ``model``."""
    return O200K if model.startswith(O200K_MODELS) else CL100K


def token_count(text: str, model: str) -> int:
    """The exact number of tokens; special tokens are plain text here. Blocks: not for the event loop."""
    encoding = _encoding(encoding_name(model))
    if len(text) <= PIECE_CHARACTERS:
        return len(encoding.encode_ordinary(text))
    pieces = range(0, len(text), PIECE_CHARACTERS)
    return sum(len(encoding.encode_ordinary(text[at : at + PIECE_CHARACTERS])) for at in pieces)


def vocabulary(name: str) -> list[bytes]:
    """All tokens, by rank."""
    packed = zlib.decompress(resources.read(f"oneapi/data/{name}.tokens.z"))
    tokens = []
    at = 0
    while at < len(packed):
        end = at + 1 + packed[at]
        tokens.append(packed[at + 1 : end])
        at = end
    return tokens


def _encoding(name: str) -> "Encoding":
    with _loading:
        if name not in _encodings:
            _encodings[name] = _load(name)
        return _encodings[name]


def _load(name: str) -> "Encoding":
    from tiktoken import Encoding  # noqa: PLC0415  costs start time and memory that most processes never need

    ranks = {token: rank for rank, token in enumerate(vocabulary(name))}
    return Encoding(name, pat_str=PATTERNS[name], mergeable_ranks=ranks, special_tokens={})
