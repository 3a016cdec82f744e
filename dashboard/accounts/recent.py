"""Asking again who it is before what matters: a password or code that is at most ten minutes old."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import stash_and_reauthenticate
from allauth.core.internal.urlkit import script_aware_resolve
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from dashboard.accounts.sealing import Unreadable, seal, unseal
from dashboard.accounts.sessions import SINCE

SECONDS = 600
MOST_KEPT = 256 * 1024
"""Characters of a form that is kept while its sender confirms."""

View = Callable[..., HttpResponseBase]


def recently(request: HttpRequest) -> bool:
    """Whether the person signed in, or confirmed that it is them, within the last ten minutes."""
    records = get_authentication_records(request, request.user) if request.user.is_authenticated else []
    times = [float(one["at"]) for one in records] + [float(request.session.get(SINCE, 0))]
    return 0 <= time.time() - max(times) < SECONDS


def recently_signed_in(view: View) -> View:
    """Let nobody into the view whose sign-in is older than ten minutes: they confirm first, then it goes on.

    A form that was sent meanwhile is kept, sealed, and goes through after they confirmed; files are not kept.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs) if recently(request) else _ask(request)

    return guarded


def recently_for_changes(view: View) -> View:
    """The same for changes only: looking at the page needs nothing."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method in ("GET", "HEAD") or recently(request):
            return view(request, *args, **kwargs)
        return _ask(request)

    return guarded


def _ask(request: HttpRequest) -> HttpResponse:
    if "application/json" in request.headers.get("Accept", ""):
        said = _("Confirm that it is you first: reload the page.")
        problem = {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": said, "error": said}
        return JsonResponse(problem, status=403, content_type="application/problem+json")
    methods = get_adapter().get_reauthentication_methods(request.user)
    address = methods[0]["url"] if methods else reverse("account_reauthenticate")
    kept = json.dumps([request.path, request.GET.urlencode(), request.POST.urlencode()])
    if request.method != "POST" or request.FILES or len(kept) > MOST_KEPT:
        return HttpResponseRedirect(f"{address}?{urlencode({REDIRECT_FIELD_NAME: request.get_full_path()})}")
    stash_and_reauthenticate(request, {"sealed": seal(kept)}, f"{__name__}.go_on")
    return HttpResponseRedirect(address)


def go_on(request: HttpRequest, state: dict[str, str]) -> HttpResponseBase:
    """Send the kept form now. It had passed the check against forgery when it came."""
    try:
        path, query, form = json.loads(unseal(state["sealed"]))
    except Unreadable:
        return redirect("/")
    request.path = request.path_info = path
    request.GET, request.POST = QueryDict(query), QueryDict(form)
    request.resolver_match = found = script_aware_resolve(path)
    answer: HttpResponseBase = found.func(request, *found.args, **found.kwargs)
    return answer
