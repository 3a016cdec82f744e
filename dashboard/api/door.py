"""The API's doors: who comes by a token, what is turned away at once, and what every answer of the API carries."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.translation import gettext as _

from dashboard.accounts import tokens
from dashboard.accounts.adapter import client_ip
from dashboard.accounts.throttle import network
from dashboard.api.problems import is_problem, problem, turn_into_problem

Handler = Callable[[HttpRequest], HttpResponseBase]

LARGEST_BODY = 1_048_576
MOST_FAILURES = 20
"""Wrong tokens a minute from one address that are still answered in full (and audited)."""
FIGURES = "/metrics"
OFFERED = {"/api/v1/docs": "text/html", "/api/v1/events": "text/event-stream"}
"""What is not JSON."""
REALM = 'Bearer realm="kvmweb"'


def is_ours(request: HttpRequest) -> bool:
    """Whether the request is for the API or for the figures, the only places where a token opens anything."""
    return request.path.startswith("/api/") or request.path == FIGURES


def by_header(request: HttpRequest) -> bool:
    """Whether the request says who it is by its Authorization header: then its cookies are nobody's."""
    return getattr(request, "by_header", False)


class Door:
    """The outer middleware: forgets cookies beside an Authorization header, turns away what no route would read, and gives
    every answer its headers and form."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_ours(request):
            return self.get_response(request)
        if "Authorization" in request.headers:
            request.by_header = True  # type: ignore[attr-defined]
            request.META.pop("HTTP_COOKIE", None)  # before anything has read it
        return _finish(request, self.get_response(request))

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Say 401 to nobody in particular, and to others why their request is not read, before anything reads it."""
        if not is_ours(request):
            return None
        if not request.user.is_authenticated:
            return problem(401, _("Sign in first, or send a token: Authorization: Bearer …"), "unauthenticated")
        return _unreadable(request)


def _finish(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if isinstance(response, HttpResponse):
        if response.status_code >= 400 and not is_problem(response):
            turn_into_problem(response)
        if response.status_code == 401:
            response["WWW-Authenticate"] = f'{REALM}, error="invalid_token"' if by_header(request) else REALM
        if request.method == "GET" and response.status_code == 200 and "Cache-Control" not in response:
            return _fresh(request, response)
    if "Cache-Control" not in response:
        response["Cache-Control"] = "no-store"
    return response


def _fresh(request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
    """The answer with its ETag, or 304 for who has it already.

    A hash of what is said: a row also changes with its host's state and the reader's rights and language, which no
    counter of the database knows; finding it costs the one query that the answer costs anyway.
    """
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Authorization", "Cookie", "Accept-Language"])
    etag = f'W/"{hashlib.blake2b(response.content, digest_size=16).hexdigest()}"'
    response["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=response) or response


class Caller:
    """The inner middleware, before `SignInRequired`: finds the token's person."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if by_header(request):
            scheme, _blank, text = request.headers["Authorization"].strip().partition(" ")
            person = None
            if scheme.lower() == "bearer":
                person = tokens.authenticate(text.strip(), client_ip(request))
            request.user = person or AnonymousUser()
            if person is None and _too_many(client_ip(request)):
                answer = problem(429, _("Too many wrong tokens came from your address. Wait a minute."), "too_many")
                answer["Retry-After"] = "60"
                return answer
        return self.get_response(request)


def _unreadable(request: HttpRequest) -> HttpResponse | None:
    length = request.headers.get("Content-Length", "")
    size = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
    if size > LARGEST_BODY:
        return problem(413, _("The request is larger than 1 MiB."), "too_large")
    kind = request.content_type or ""
    if kind != "application/json" and (size or kind.startswith("multipart/")):
        return problem(415, _("Send JSON: Content-Type: application/json."), "unsupported_media_type")
    offered = OFFERED.get(request.path, "application/json")
    if request.path != FIGURES and not request.accepts(offered):
        said = _("Only %(type)s can be had here: say so in the header Accept, or leave it out.") % {"type": offered}
        return problem(406, said, "not_acceptable")
    return None


def _too_many(address: str) -> bool:
    """Count a wrong token of this address; whether there were too many in this minute."""
    key = f"api-wrong-tokens:{network(address)}"
    minute = int(time.time() // 60)
    failures = cache.get(key)
    number = failures[1] + 1 if failures and failures[0] == minute else 1
    if number <= MOST_FAILURES + 1:  # a flood writes nothing
        cache.set(key, [minute, number], timeout=120)
    return number > MOST_FAILURES
