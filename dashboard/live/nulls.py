"""Keeps NUL characters out: PostgreSQL's text cannot hold them, and nobody types them on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.utils.translation import gettext as _

NUL = "\x00"
ESCAPED = re.compile(rb"\x00|(?<!\\)(?:\\\\)*\\u0000")
"""NUL in JSON: as it is, which is no JSON, or as an escape that is not itself escaped."""


class NoNulls:
    """Middleware: what forms and addresses say loses its NULs; JSON with one is refused; a path with one leads nowhere."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "%00" in request.META.get("QUERY_STRING", ""):
            request.GET = _without(request.GET)  # type: ignore[assignment]
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: object) -> HttpResponse | None:
        """After the CSRF check, which has read a form anyway."""
        if NUL in request.path:
            raise Http404
        if request.content_type == "application/json" or _read_as_json(request):
            return _refused() if _in_json(request) else None
        if request.method == "POST" and any(NUL in value for values in request.POST.lists() for value in _flat(values)):
            request.POST = _without(request.POST)  # type: ignore[assignment]
        return None


def _read_as_json(request: HttpRequest) -> bool:
    """The API reads a body as JSON whatever it calls itself."""
    forms = ("application/x-www-form-urlencoded", "multipart/form-data", "application/octet-stream")
    return request.path.startswith("/api/") and request.method != "GET" and request.content_type not in forms


def _in_json(request: HttpRequest) -> bool:
    try:
        return ESCAPED.search(request.body) is not None
    except RequestDataTooBig:
        return False  # the view says so


def _flat(values: tuple[str, list[str]]) -> list[str]:
    name, all_ = values
    return [name, *all_]


def _without(given: QueryDict) -> QueryDict:
    clean = QueryDict(mutable=True)
    for name, values in given.lists():
        clean.setlist(name.replace(NUL, ""), [value.replace(NUL, "") for value in values])
    clean._mutable = False
    return clean


def _refused() -> HttpResponse:
    said = str(_("Text may not hold the character NUL (U+0000)."))
    problem = {"type": "about:blank", "title": "Bad Request", "status": 400, "code": "malformed", "detail": said}
    return JsonResponse(problem, status=400, content_type="application/problem+json")
