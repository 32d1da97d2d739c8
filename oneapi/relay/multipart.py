"""Form fields of a multipart body, found in place: files of many megabytes are neither copied nor decoded."""

from collections.abc import Mapping
from dataclasses import dataclass

from oneapi.errors import ClientError

_FIELD_LIMIT = 64 * 1024  # a text field; anything larger is a file to us
_PART_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Field:
    """A text field and where its value lies in the body."""

    value: str
    start: int
    end: int


def is_multipart(content_type: str) -> bool:
    """Whether a Content-Type announces a form with files."""
    return content_type[:20].lower().startswith("multipart/form-data")


def fields(content_type: str, body: bytes) -> Mapping[str, Field]:
    """The text fields by name, the first of each; file parts are left out.

    Raises ClientError for a body that is not what ``content_type`` says (RFC 7578, RFC 2046 section 5.1).
    """
    delimiter = b"--" + _boundary(content_type)
    found: dict[str, Field] = {}
    at = body.find(delimiter)
    if at == -1:
        raise _broken()
    for _ in range(_PART_LIMIT):
        at += len(delimiter)
        if body.startswith(b"--", at):
            return found
        head_end = body.find(b"\r\n\r\n", at)
        end = body.find(b"\r\n" + delimiter, head_end + 2)
        if head_end == -1 or end == -1:
            raise _broken()
        start = head_end + 4
        name, is_file = _disposition(body[at:head_end])
        if name and not is_file and end - start <= _FIELD_LIMIT and name not in found:
            found[name] = Field(body[start:end].decode("utf-8", "replace"), start, end)
        at = end + 2
    raise ClientError("the form has too many parts", code="invalid_multipart")


def _boundary(content_type: str) -> bytes:
    for parameter in content_type.split(";")[1:]:
        key, _, value = parameter.strip().partition("=")
        if key.lower() == "boundary" and value.strip('"'):
            return value.strip('"').encode("latin-1", "replace")
    raise ClientError("the multipart Content-Type has no boundary", code="invalid_multipart")


def _disposition(head: bytes) -> tuple[str, bool]:
    name, is_file = "", False
    for line in head.decode("utf-8", "replace").split("\r\n"):
        key, _, value = line.partition(":")
        if key.strip().lower() != "content-disposition":
            continue
        for parameter in value.split(";")[1:]:
            attribute, _, text = parameter.strip().partition("=")
            if attribute.lower() == "name":
                name = text.strip('"')
            elif attribute.lower() in ("filename", "filename*"):
                is_file = True
    return name, is_file


def _broken() -> ClientError:
    return ClientError(
        "the multipart body is cut off or does not match its boundary", code="invalid_multipart"
    )
