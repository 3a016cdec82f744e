"""What the API answers when something is wrong: problem+json (RFC 9457), in the person's language."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema

from dashboard.jobs.errors import Denied, Invalid, Locked, SubmitError
from dashboard.jobs.rows import job_row
from dashboard.jobs.wording import plain_entries


def problem(status: int, detail: str, **more: Any) -> HttpResponse:
    """One problem. `more` are members of its own: "errors" by field, "job" that is in the way."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return HttpResponse(json.dumps(body), status=status, content_type="application/problem+json")


class DescribedAPI(NinjaAPI):
    """An API whose OpenAPI description says that errors are problem+json."""

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        """ninja's description, with the true media type of problems."""
        schema = super().get_openapi_schema(**kwargs)
        for methods in schema["paths"].values():
            for method in methods.values():
                for status, answer in method["responses"].items():
                    if int(status) >= 400 and "content" in answer:
                        answer["content"] = {"application/problem+json": answer["content"]["application/json"]}
        return schema


def _not_submitted(request: HttpRequest, error: Any) -> HttpResponse:
    if isinstance(error, Invalid):
        return problem(422, str(error.reason), errors=error.errors)
    if isinstance(error, Locked):
        return problem(409, str(error.reason), job=job_row(error.job))
    return problem(403 if isinstance(error, Denied) else 409, str(error.reason))


def _invalid(request: HttpRequest, error: Any) -> HttpResponse:
    # A field of the body is named as in the operation's parameters: without "body" and our own name for it.
    body = [entry for entry in error.errors if entry["loc"][0] == "body"]
    rest = [entry for entry in error.errors if entry["loc"][0] != "body"]
    errors = plain_entries(body, skip=2) | plain_entries(rest, skip=1)
    return problem(422, _("Please correct what is marked."), errors=errors)


def _http_error(request: HttpRequest, error: Any) -> HttpResponse:
    return problem(error.status_code, str(error))


def install(api: NinjaAPI) -> None:
    """Have `api` answer every error as a problem."""
    api.add_exception_handler(SubmitError, _not_submitted)
    api.add_exception_handler(ValidationError, _invalid)
    api.add_exception_handler(
        Http404, lambda request, error: problem(404, _("This does not exist, or you may not see it."))
    )
    api.add_exception_handler(PermissionDenied, lambda request, error: problem(403, _("You may not do this.")))
    api.add_exception_handler(HttpError, _http_error)
