"""The API itself: who may call it, how bodies are read, and its description (OpenAPI) made whole."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.parser import Parser
from ninja.security import HttpBearer, SessionAuth
from ninja.utils import check_csrf

from dashboard.api.door import by_header
from dashboard.api.problems import MEDIA_TYPE, Refusal
from dashboard.api.schemas import Problem

PROBLEMS = {
    "400": "The body is no JSON.",
    "401": "Nobody: no session, no token, or one that is not valid.",
    "403": "Seen, but not allowed; or a change with a session and without its CSRF token.",
    "404": "Not there, or not to be seen by you.",
    "406": "The request accepts no media type that this address has.",
    "409": "It does not fit what is: locked by a job (`job`), a host that does not answer, a state, a UUID on two hosts.",
    "413": "The body is larger than 1 MiB.",
    "415": "The body is not declared as application/json.",
    "422": "What was sent cannot be used: `errors` by field.",
    "429": "Too many wrong tokens, or too many open streams.",
    "503": "kvmweb takes no changes at present.",
}
READING = ("401", "403", "404", "406", "409", "422", "429", "503")


class Token(HttpBearer):
    """An API token: `Authorization: Bearer …`. `door.Caller` has looked at it already."""

    def __call__(self, request: HttpRequest) -> Any:
        """The token's person."""
        return request.user if by_header(request) and request.user.is_authenticated else None

    def authenticate(self, request: HttpRequest, token: str) -> None:
        """Not used: see `__call__`."""


class Session(SessionAuth):
    """The browser's session; changes want the CSRF token that the page knows. Ignored beside an Authorization header."""

    def __call__(self, request: HttpRequest) -> Any:
        """The session's person."""
        if by_header(request) or not request.user.is_authenticated:
            return None
        if check_csrf(request) is not None:
            raise Refusal(403, "csrf", _("Send the page's CSRF token as X-CSRFToken, or use an API token."))
        return request.user


class StrictParser(Parser):
    """Reads JSON as the standard has it: no NaN; and text that a database can keep."""

    def parse_body(self, request: HttpRequest) -> Any:
        """The body as Python values; ValueError for anything else."""
        return _storable(json.loads(request.body, parse_constant=_no_number))


def _no_number(name: str) -> Any:
    raise ValueError(name)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        value.encode()  # half a surrogate pair is no text
    elif isinstance(value, dict):
        for key, member in value.items():
            _storable(key), _storable(member)
    elif isinstance(value, list):
        for member in value:
            _storable(member)
    return value


class Face(NinjaAPI):
    """ninja's API with the whole truth in its description."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The view's name, whatever module it lives in."""
        return operation.view_func.__name__

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        """ninja's description, with the problems that each address may answer."""
        schema = super().get_openapi_schema(**kwargs)
        parts = schema["components"]
        parts["schemas"]["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        parts["schemas"]["Problem"].pop("$defs", None)
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        parts["responses"] = {
            f"Problem{status}": {"description": said, "content": content} for status, said in PROBLEMS.items()
        }
        for methods in schema["paths"].values():
            for name, method in methods.items():
                wanted = READING if name == "get" else PROBLEMS
                known = {str(status): answer for status, answer in method["responses"].items()}
                problems = {status: {"$ref": f"#/components/responses/Problem{status}"} for status in wanted}
                method["responses"] = {**known, **problems}
        return schema
