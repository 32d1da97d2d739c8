"""The same with curl, as the documentation shows it."""

import gzip
import subprocess
from pathlib import Path

import orjson

from tests.e2e.stage import Stage, events, text_of
from tests.support.vendor import SPEECH, TRANSCRIPT


def curl(*arguments: str) -> bytes:
    """What curl prints; an HTTP error makes it fail."""
    run = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail-with-body", "--noproxy", "*", *arguments],
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert run.returncode == 0, (run.stdout, run.stderr)
    return run.stdout


def test_from_log_in_to_the_first_answer(stage: Stage, tmp_path: Path) -> None:
    url, jar = stage.program.url, str(tmp_path / "cookies")
    as_json = ("-H", "Content-Type: application/json")
    login = orjson.loads(
        curl(url + "/api/user/login", *as_json, "-c", jar, "-d", '{"username":"root","password":"123456"}')
    )
    assert login["success"] is True
    channel = {"type": 1, "name": "curl", "key": "k", "models": stage.model, "group": "default"}
    channel["base_url"] = stage.channel(models="unused-" + stage.model).base_url
    added = curl(url + "/api/channel/", *as_json, "-b", jar, "-d", orjson.dumps(channel).decode())
    assert orjson.loads(added)["success"] is True
    made = curl(url + "/api/token/", *as_json, "-b", jar, "-d", '{"name":"curl","unlimited_quota":true}')
    bearer = "Authorization: Bearer sk-" + orjson.loads(made)["data"]["key"]
    body = {"model": stage.model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    answer = curl(
        "-N", url + "/v1/chat/completions", *as_json, "-H", bearer, "-d", orjson.dumps(body).decode()
    )
    assert text_of(events(answer)) == "Hello, world"
    page = orjson.loads(curl(url + "/api/log/?p=0&token_name=curl", "-b", jar))
    assert [row["quota"] for row in page["data"]] == [20 * 30]


def test_sound_goes_in_and_out(stage: Stage, tmp_path: Path) -> None:
    stage.channel()
    url, bearer = stage.program.url, "Authorization: Bearer " + stage.token.key
    sound = tmp_path / "speech.mp3"
    body = orjson.dumps({"model": stage.model, "voice": "alloy", "input": "hi"}).decode()
    as_json = ("-H", "Content-Type: application/json")
    curl(url + "/v1/audio/speech", "-H", bearer, *as_json, "-d", body, "-o", str(sound))
    assert sound.read_bytes() == SPEECH
    form = ("-F", f"file=@{sound}", "-F", f"model={stage.model}")
    text = curl(url + "/v1/audio/transcriptions", "-H", bearer, *form)
    assert orjson.loads(text)["text"] == TRANSCRIPT


def test_a_compressed_request_is_understood(stage: Stage, tmp_path: Path) -> None:
    place = stage.channel()
    packed = tmp_path / "body.gz"
    packed.write_bytes(
        gzip.compress(orjson.dumps({"model": stage.model, "messages": [{"role": "user", "content": "hi"}]}))
    )
    headers = ("-H", "Content-Type: application/json", "-H", "Content-Encoding: gzip")
    bearer = ("-H", "Authorization: Bearer " + stage.token.key)
    answer = curl(
        stage.program.url + "/v1/chat/completions", *headers, *bearer, "--data-binary", f"@{packed}"
    )
    assert orjson.loads(answer)["choices"][0]["message"]["content"] == "Hello, world"
    assert stage.seen(place)[0].model == stage.model
