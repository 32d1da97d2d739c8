"""Azure OpenAI: OpenAI's shapes behind deployment URLs."""

from urllib.parse import quote

import orjson

from oneapi.providers import openai
from oneapi.wire import Call, Mode, UpstreamRequest

name, channel_types = "azure", (3,)
reply, stream, error = openai.reply, openai.stream, openai.error

AI_GATEWAY = "https://gateway.ai.cloudflare.com"
# The deployment of a text model has the model's name without dots (gpt-35-turbo); the others keep them.
KEEPS_DOTS = (Mode.IMAGES, Mode.IMAGE_EDITS, Mode.SPEECH, Mode.TRANSCRIPTION, Mode.TRANSLATION)
# The service rejects stream_options before this version.
USAGE_SINCE = "2024-09-01"


def asks_usage(call: Call) -> bool:
    """Newer interface versions name a stream's usage on request; names like ``preview`` are newer still."""
    return _version(call)[:10] >= USAGE_SINCE


def request(call: Call) -> UpstreamRequest:
    """The client's request to a deployment, with the key in Azure's own header."""
    headers = (("api-key", call.channel.key), *openai.content_headers(call))
    if call.mode is Mode.IMAGES and call.body is not None:
        content = orjson.dumps({"n": 1, "size": "1024x1024", **call.body})
    else:
        content = openai.content(call)
    return UpstreamRequest("POST", url(call), headers, content)


def url(call: Call) -> str:
    """``…/openai/deployments/<model>/<task>?api-version=<v>``; the client's query is dropped."""
    base = openai.base_url(call)
    model = call.model if call.mode in KEEPS_DOTS else call.model.replace(".", "")
    prefix = "" if base.startswith(AI_GATEWAY) else "/openai/deployments"
    deployment, version = quote(model, safe=""), quote(_version(call), safe="")
    return f"{base}{prefix}/{deployment}/{call.mode.value}?api-version={version}"


def _version(call: Call) -> str:
    return call.channel.settings.get("api_version", "")
