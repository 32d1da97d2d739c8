import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneapi.errors import ClientError
from oneapi.relay.multipart import fields, is_multipart

TYPE = "multipart/form-data; boundary=xYz"


def form(*parts: tuple[str, bytes]) -> bytes:
    body = b""
    for head, value in parts:
        body += b"--xYz\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + value + b"\r\n"
    return body + b"--xYz--\r\n"


def test_text_fields_are_found_and_files_are_left_out() -> None:
    body = form(
        ('name="model"', b"whisper-1"),
        ('name="file"; filename="a.mp3"', b"\x00\xff--xY\r\n" * 1000),
        ('name="language"', "日本語".encode()),
    )
    found = fields(TYPE, body)
    assert {name: field.value for name, field in found.items()} == {
        "model": "whisper-1",
        "language": "日本語",
    }
    model = found["model"]
    assert body[model.start : model.end] == b"whisper-1"


def test_the_first_field_of_a_name_counts_and_large_ones_are_no_text() -> None:
    body = form(('name="a"', b"1"), ('name="a"', b"2"), ('name="b"', b"x" * 70_000))
    assert {name: field.value for name, field in fields(TYPE, body).items()} == {"a": "1"}


def test_quoted_boundaries_and_other_parameters_are_understood() -> None:
    quoted = 'multipart/form-data; charset=utf-8; Boundary="xYz"'
    assert fields(quoted, form(('name="model"', b"m")))["model"].value == "m"
    assert is_multipart("Multipart/Form-Data; boundary=x")
    assert not is_multipart("application/json")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", form(('name="a"', b"1"))),
        ("multipart/form-data; boundary=", form(('name="a"', b"1"))),
        (TYPE, b"no boundary at all"),
        (TYPE, b"--xYz\r\nContent-Disposition: form-data; name=a"),
        (TYPE, form(('name="a"', b"1"))[:-9]),
        (TYPE, b"--xYz\r\n\r\nx\r\n" * 300 + b"--xYz--"),
    ],
    ids=["no boundary named", "empty boundary", "other body", "cut head", "cut end", "too many parts"],
)
def test_a_body_that_is_no_form_is_refused_with_400(content_type: str, body: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        fields(content_type, body)
    assert caught.value.status == 400


@given(st.dictionaries(st.text("abcdef", min_size=1), st.binary(max_size=200), max_size=8))
def test_every_field_comes_back_from_any_form(values: dict[str, bytes]) -> None:
    clean = {name: value for name, value in values.items() if b"--xYz" not in value}
    body = form(*((f'name="{name}"', value) for name, value in clean.items()))
    found = fields(TYPE, body)
    assert {name: body[f.start : f.end] for name, f in found.items()} == clean
