"""Everything beside chat, with the official client."""

import pytest

from tests.e2e.stage import RATIO, Stage, mapping
from tests.support.vendor import SPEECH, TRANSCRIPT, Vendor

SOUND = ("speech.wav", b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)), "audio/wav")


@pytest.mark.parametrize(
    "given",
    ["one text", ["two", "texts"], [1234, 5678], [[1, 2], [3, 4]]],
    ids=["text", "texts", "token ids", "lists of token ids"],
)
def test_embeddings_take_every_form_of_input(stage: Stage, given: object) -> None:
    place = stage.channel(Vendor(usage=(8, 0)))
    raw = stage.api.embeddings.with_raw_response.create(model=stage.model, input=given)  # type: ignore[arg-type]
    answer = raw.parse()
    assert answer.data[0].embedding == [0.5, -1.0, 0.25]
    sent = stage.seen(place)[0].json
    assert sent["input"] == given
    assert sent["encoding_format"] == "base64", "what the official client asks for by itself"
    stage.assert_charged((8, 0), raw.headers["x-oneapi-request-id"], [place])


def test_moderations_are_relayed_and_counted(stage: Stage) -> None:
    place = stage.channel()
    raw = stage.api.moderations.with_raw_response.create(model=stage.model, input=["fine", "also fine"])
    assert raw.parse().results[0].flagged is False
    assert stage.seen(place)[0].json["input"] == ["fine", "also fine"]
    row = stage.log()
    assert row["prompt_tokens"] > 0
    assert row["quota"] == (row["prompt_tokens"] + row["completion_tokens"]) * RATIO
    assert row["request_id"] == raw.headers["x-oneapi-request-id"]


def test_generated_images_are_charged_by_the_piece(stage: Stage) -> None:
    stage.channel(model_mapping=mapping(stage.model, "dall-e-2"))
    answer = stage.api.images.generate(model=stage.model, prompt="a cat", n=2, size="256x256")
    assert answer.data is not None
    assert answer.data[0].b64_json is not None
    row = stage.log()
    assert row["quota"] == 2 * 10 * 1000
    assert stage.spent() == row["quota"]


def test_edited_images_reach_the_vendor_as_they_were_sent(stage: Stage) -> None:
    place = stage.channel()
    picture = ("cat.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "image/png")
    raw = stage.api.images.with_raw_response.edit(model=stage.model, image=picture, prompt="add a hat")
    answer = raw.parse()
    assert answer.data is not None
    seen = stage.seen(place)[0]
    assert picture[1] in seen.body
    assert b"add a hat" in seen.body
    assert seen.model == stage.model
    assert stage.log()["request_id"] == raw.headers["x-oneapi-request-id"]


def test_speech_comes_back_byte_for_byte(stage: Stage) -> None:
    stage.channel()
    raw = stage.api.audio.speech.with_raw_response.create(
        model=stage.model, voice="alloy", input="hello there"
    )
    assert raw.content == SPEECH
    assert raw.headers["content-type"] == "audio/mpeg"
    row = stage.log()
    assert row["quota"] == len("hello there") * RATIO
    assert row["request_id"] == raw.headers["x-oneapi-request-id"]


def test_transcription_goes_by_the_model_that_the_form_names(stage: Stage) -> None:
    place = stage.channel()
    raw = stage.api.audio.transcriptions.with_raw_response.create(model=stage.model, file=SOUND)
    assert raw.parse().text == TRANSCRIPT
    seen = stage.seen(place)[0]
    assert seen.model == stage.model
    assert SOUND[1] in seen.body
    row = stage.log()
    assert row["model_name"] == stage.model
    assert row["quota"] == 4 * RATIO  # the four words are four tokens
    assert row["request_id"] == raw.headers["x-oneapi-request-id"]


def test_a_mapped_model_is_put_into_the_form(stage: Stage) -> None:
    place = stage.channel(model_mapping=mapping(stage.model, "whisper-large"))
    assert stage.api.audio.transcriptions.create(model=stage.model, file=SOUND).text == TRANSCRIPT
    seen = stage.seen(place)[0]
    assert seen.model == "whisper-large"
    assert SOUND[1] in seen.body


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # says the client of the endpoint
def test_translation_works_like_transcription(stage: Stage) -> None:
    place = stage.channel()
    assert stage.api.audio.translations.create(model=stage.model, file=SOUND).text == TRANSCRIPT
    assert stage.seen(place)[0].path.endswith("/audio/translations")


def test_models_are_listed_and_retrieved(stage: Stage) -> None:
    stage.channel(models=f"{stage.model},gpt-4o-mini")
    names = [model.id for model in stage.api.models.list()]
    assert stage.model in names
    assert len(names) == len(set(names))
    assert stage.api.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"


def test_a_token_with_its_own_models_lists_only_these(stage: Stage) -> None:
    stage.channel()
    token = stage.admin.add_token(name="l-" + stage.model, models=f"{stage.model},gpt-4o")
    with stage.client(token.key) as api:
        assert {model.id for model in api.models.list()} == {stage.model, "gpt-4o"}


def test_the_raw_proxy_route_passes_everything_on(stage: Stage) -> None:
    place = stage.channel(key="raw-key", type=43)
    answer = stage.post(f"/v1/oneapi/proxy/{place.id}/v9/things?a=1&b=%20", b"\x00raw\xff", X_Custom="yes")
    assert answer.status == 200
    seen = stage.seen(place)[0]
    assert (seen.method, seen.path, seen.query) == ("POST", "/v9/things", "a=1&b=%20")
    assert seen.body == b"\x00raw\xff"
    assert seen.headers["authorization"] == "raw-key"
    assert seen.headers["x-custom"] == "yes"


@pytest.mark.parametrize("path", ["/v1/files", "/v1/fine_tuning/jobs", "/v1/assistants", "/v1/threads"])
def test_what_is_not_implemented_says_so(stage: Stage, path: str) -> None:
    answer = stage.post(path, {})
    assert answer.status == 501
    assert answer.json["error"]["code"] == "api_not_implemented"
