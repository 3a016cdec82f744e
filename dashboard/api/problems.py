"""What the API answers when something is wrong: problem+json (RFC 9457), in the person's language."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any, cast

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from dashboard.accounts.models import User
from dashboard.jobs import service
from dashboard.jobs.errors import Denied, Invalid, Locked, SubmitError
from dashboard.jobs.rows import job_row
from dashboard.jobs.wording import plain_entries

MEDIA_TYPE = "application/problem+json"

PLAIN: dict[int, tuple[str, Promise]] = {
    400: ("malformed", gettext_lazy("The request cannot be read: its body must be JSON.")),
    401: ("unauthenticated", gettext_lazy("Sign in first, or send a token: Authorization: Bearer …")),
    403: ("denied", gettext_lazy("You may not do this.")),
    404: ("not_found", gettext_lazy("This does not exist, or you may not see it.")),
    405: (
        "method_not_allowed",
        gettext_lazy("This address knows no such method; the header Allow names those it knows."),
    ),
    413: ("too_large", gettext_lazy("The request is larger than 1 MiB.")),
    500: ("internal", gettext_lazy("Something went wrong in kvmweb. Its log says what.")),
    503: ("unavailable", gettext_lazy("kvmweb cannot do this at present. Try again later.")),
}
"""What is said of a status that came without words of its own: code and sentence."""


class Refusal(Exception):
    """Ends a request of the API with a problem."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.more = status, code, detail, more


def body_of(status: int, detail: str, code: str, **more: Any) -> dict[str, Any]:
    """A problem's members. `code` is one stable word; `more` are members of its own ("errors" by field, "job")."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **more,
    }


def problem(status: int, detail: str, code: str, **more: Any) -> HttpResponse:
    """One problem as an answer."""
    return HttpResponse(json.dumps(body_of(status, detail, code, **more)), status=status, content_type=MEDIA_TYPE)


def is_problem(response: HttpResponse) -> bool:
    """Whether the answer says in our form what is wrong."""
    return response.get("Content-Type", "").startswith(MEDIA_TYPE) and b'"code"' in response.content


def turn_into_problem(response: HttpResponse) -> None:
    """Give an error of Django's or ninja's own the form of the others; its headers stay."""
    status = response.status_code
    detail = ""
    if response.get("Content-Type", "").startswith(MEDIA_TYPE):
        detail = str(json.loads(response.content).get("detail", ""))
    code, plain = PLAIN.get(status, (HTTPStatus(status).name.lower(), HTTPStatus(status).phrase))
    response.content = json.dumps(body_of(status, detail or str(plain), code)).encode()
    response["Content-Type"] = MEDIA_TYPE
    if "Content-Length" in response:
        response["Content-Length"] = str(len(response.content))


def code_of(error: SubmitError) -> str:
    """The stable word for a wish that did not become a job: its class's name, "host_not_live"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()


def _not_submitted(request: HttpRequest, error: Any) -> HttpResponse:
    status, more = 409, dict(error.more)
    if isinstance(error, Invalid):
        status, more = 422, {"errors": error.errors}
    elif isinstance(error, Locked):
        more = {"job": job_row(error.job)} if service.visible_to(cast("User", request.user), error.job) else {}
    elif isinstance(error, Denied):
        status = 403
    return problem(status, str(error.reason), code_of(error), **more)


def _invalid(request: HttpRequest, error: Any) -> HttpResponse:
    # A field of the body is named as in the operation's parameters: without "body" and our own name for it.
    body = [entry for entry in error.errors if entry["loc"][0] == "body"]
    rest = [entry for entry in error.errors if entry["loc"][0] != "body"]
    errors = plain_entries(body, skip=2) | plain_entries(rest, skip=1)
    return problem(422, _("Please correct what is marked."), "invalid", errors=errors)


def _plain(status: int) -> Any:
    def answer(request: HttpRequest, error: Any) -> HttpResponse:
        code, text = PLAIN[status]
        return problem(status, str(text), code)

    return answer


def _http_error(request: HttpRequest, error: Any) -> HttpResponse:
    if error.status_code in PLAIN:
        code, text = PLAIN[error.status_code]
        return problem(error.status_code, str(text), code)
    return problem(error.status_code, str(error), HTTPStatus(error.status_code).name.lower())


def _refused(request: HttpRequest, error: Any) -> HttpResponse:
    return problem(error.status, error.detail, error.code, **error.more)


def install(api: NinjaAPI) -> None:
    """Have `api` answer every error as a problem."""
    api.add_exception_handler(SubmitError, _not_submitted)
    api.add_exception_handler(ValidationError, _invalid)
    api.add_exception_handler(Refusal, _refused)
    api.add_exception_handler(Http404, _plain(404))
    api.add_exception_handler(PermissionDenied, _plain(403))
    api.add_exception_handler(AuthenticationError, _plain(401))
    api.add_exception_handler(RequestDataTooBig, _plain(413))
    api.add_exception_handler(HttpError, _http_error)
