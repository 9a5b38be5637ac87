"""What the model server answers instead of a completion, in OpenAI's error shape.

Refusal
 |-- BadRequest     400  a parameter is malformed; `param` names it
 |-- Unauthorized   401  the secret is missing or wrong
 |-- UnknownModel   404  no model is registered under this name
 |-- TooBusy        429  as many requests as this server takes are open; try again soon
 |-- Unavailable    503  the model cannot be loaded, or its engine stopped
"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse


class Refusal(Exception):
    """An answer with a status and a sentence; what `param` and `code` mean is OpenAI's."""

    status = 500
    kind = "server_error"
    code: str | None = None
    headers: dict[str, str] = {}

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code or self.code

    def as_dict(self) -> dict[str, Any]:
        """The body of the answer."""
        return {
            "error": {
                "message": str(self),
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def as_event(self) -> str:
        """The last event of a stream that had begun before this was known."""
        return f"data: {json.dumps(self.as_dict())}\n\n"


class BadRequest(Refusal):
    status = 400
    kind = "invalid_request_error"


class Unauthorized(Refusal):
    status = 401
    kind = "invalid_request_error"
    code = "invalid_api_key"


class UnknownModel(Refusal):
    status = 404
    kind = "invalid_request_error"
    code = "model_not_found"


class TooBusy(Refusal):
    status = 429
    kind = "rate_limit_error"
    code = "server_busy"
    headers = {"Retry-After": "2"}


class Unavailable(Refusal):
    status = 503
    code = "model_unavailable"


async def answer_refusal(request: Request, error: Exception) -> JSONResponse:
    """Starlette's handler for every Refusal."""
    assert isinstance(error, Refusal)
    return JSONResponse(error.as_dict(), error.status, headers=error.headers)
