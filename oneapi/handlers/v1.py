"""The routes under ``/v1`` that answer from memory: the models, and what OpenAI has and One API has not."""

from oneapi.handlers.base import Base, Services
from oneapi.handlers.token_route import TokenRoute
from oneapi.relay import models

# OpenAI's routes that are known and not served, with their methods (contract section 5.1).
_ID = "[^/]+"
NOT_IMPLEMENTED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("images/variations", ("POST",)),
    ("files", ("GET", "POST")),
    (f"files/{_ID}", ("GET", "DELETE")),
    (f"files/{_ID}/content", ("GET",)),
    ("fine_tuning/jobs", ("GET", "POST")),
    (f"fine_tuning/jobs/{_ID}", ("GET",)),
    (f"fine_tuning/jobs/{_ID}/cancel", ("POST",)),
    (f"fine_tuning/jobs/{_ID}/events", ("GET",)),
    ("assistants", ("GET", "POST")),
    (f"assistants/{_ID}", ("GET", "POST", "DELETE")),
    (f"assistants/{_ID}/files", ("GET", "POST")),
    (f"assistants/{_ID}/files/{_ID}", ("GET", "DELETE")),
    ("threads", ("POST",)),
    (f"threads/{_ID}", ("GET", "POST", "DELETE")),
    (f"threads/{_ID}/messages", ("POST",)),
    (f"threads/{_ID}/messages/{_ID}", ("GET", "POST")),
    (f"threads/{_ID}/messages/{_ID}/files", ("GET",)),
    (f"threads/{_ID}/messages/{_ID}/files/{_ID}", ("GET",)),
    (f"threads/{_ID}/runs", ("GET", "POST")),
    (f"threads/{_ID}/runs/{_ID}", ("GET", "POST")),
    (f"threads/{_ID}/runs/{_ID}/submit_tool_outputs", ("POST",)),
    (f"threads/{_ID}/runs/{_ID}/cancel", ("POST",)),
    (f"threads/{_ID}/runs/{_ID}/steps", ("GET",)),
    (f"threads/{_ID}/runs/{_ID}/steps/{_ID}", ("GET",)),
)


class Models(TokenRoute):
    """``GET /v1/models``."""

    def get(self, *_: str) -> None:
        """The models that the caller may use."""
        caller = self.caller()
        if caller is not None:
            self.send_json(200, models.available(self.services.context.store, caller))


class Model(TokenRoute):
    """``GET /v1/models/:model``."""

    def get(self, *names: str) -> None:
        """One model object of the catalogue."""
        if self.caller() is None:
            return
        (name,) = names
        found = models.retrieve(name)
        if found is not None:
            self.send_json(200, found)
            return
        error = {
            "message": f"The model '{name}' does not exist",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
        self.send_json(404, {"error": error})

    def delete(self, *_: str) -> None:
        """Fine-tuned models are not ours to delete."""
        if self.caller() is not None:
            not_implemented(self)


class NotImplementedRoute(TokenRoute):
    """A route that OpenAI has."""

    def initialize(self, services: Services, methods: tuple[str, ...] = ()) -> None:
        """Take over what ``routes`` gave."""
        super().initialize(services)
        self._methods = methods

    def get(self, *_: str) -> None:
        """501 for its own methods, after the token has been checked."""
        if self.request.method not in self._methods:
            self.not_found()
        elif self.caller() is not None:
            not_implemented(self)

    head = post = put = delete = patch = get


def not_implemented(handler: Base) -> None:
    """One API's answer; it has no request id in it."""
    error = {
        "message": "API not implemented",
        "type": "one_api_error",
        "param": "",
        "code": "api_not_implemented",
    }
    handler.send_json(501, {"error": error})
