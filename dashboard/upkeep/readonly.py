"""Read-only while something is full: changes are refused with a sentence before they begin, pages go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.defaults import server_error

from dashboard.accounts.access import can
from dashboard.inventory import fullness
from dashboard.inventory.fullness import Trouble

SAFE = ("GET", "HEAD", "OPTIONS")
OPEN = ("/accounts/", "/security/seen/")
"""Whoever comes or goes is let try: what is full then says so itself."""
RETRY_SECONDS = 30
AWAY_SECONDS = 3


class ReadOnly:
    """Middleware: while something is full, nothing is changed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method not in SAFE and not request.path.startswith(OPEN) and (troubles := fullness.full()):
            return refusal(request, troubles)
        return self.get_response(request)


def sentences(troubles: Sequence[Trouble]) -> list[str]:
    """What is full and what to do, in the reader's language."""
    return [_(trouble.text) % trouble.values for trouble in troubles]


def refusal(request: HttpRequest, troubles: Sequence[Trouble]) -> HttpResponse:
    """Say that nothing was changed, why, and what to do."""
    lines = sentences(troubles) if _known(request) else []
    lines = lines or [_("There is no room to write it down.")]
    if request.path.startswith("/api/") or "application/json" in request.headers.get("Accept", ""):
        said = " ".join([_("kvmweb is read-only for now, and nothing was changed."), *lines])
        problem = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "code": "read_only"}
        response: HttpResponse = JsonResponse(
            {**problem, "detail": said, "error": said}, status=503, content_type="application/problem+json"
        )
    else:
        response = render(request, "503.html", {"read_only": True, "full": lines}, status=503)
    response["Retry-After"] = str(RETRY_SECONDS)
    return response


def _known(request: HttpRequest) -> bool:
    """Whether somebody is signed in: only they learn of the machine's paths."""
    user = getattr(request, "user", None)
    return user is not None and user.is_authenticated


def failed(request: HttpRequest, *args: Any) -> HttpResponse:
    """Django's handler of what went wrong in a request: full is an answer, a database that does not answer passes by.

    Everything else is a fault of ours.
    """
    errors = list(_causes(sys.exc_info()[1]))
    if any(fullness.met(error) for error in errors):
        return refusal(request, fullness.full())
    away = any(isinstance(error, OperationalError | InterfaceError) for error in errors)
    status = 503 if away else 500
    if request.path.startswith("/api/"):
        # The API's door writes it; a page that has to be rendered could fail, too.
        response = HttpResponse(status=status)
    else:
        response = server_error(request)
        response.status_code = status
    if away:
        response["Retry-After"] = str(AWAY_SECONDS)
    return response


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that led to it."""
    for _number in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def banner(request: HttpRequest) -> dict[str, Any]:
    """Context of every page: `read_only`; `full`, what causes it, for people; `nearly_full` for who can do something."""
    user, known = getattr(request, "user", None), _known(request)
    troubles = fullness.full()
    return {
        "read_only": bool(troubles),
        "full": sentences(troubles) if known else [],
        "nearly_full": sentences(fullness.low()) if user is not None and known and can(user, "people.manage") else [],
    }
