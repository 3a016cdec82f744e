"""The page that makes a guest: its form, the checks while one types, and the choices of another host."""

from __future__ import annotations

import json
from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from dashboard.accounts.access import can
from dashboard.accounts.decorators import need
from dashboard.accounts.models import User
from dashboard.guests import choices as offers
from dashboard.guests.operations.wish import Wish, examine
from dashboard.inventory.models import Host

MAX_BODY = 64 * 1024


def _host(request: HttpRequest, key: str) -> Host:
    """A host on which this person may make guests, or 404."""
    host = Host.objects.filter(pk=int(key)).first() if key.isdecimal() and len(key) < 16 else None
    if host is None or not can(cast("User", request.user), "guest.create", host):
        raise Http404
    return host


@need("guest.create")
@require_GET
def create(request: HttpRequest) -> HttpResponse:
    """The form; an address may fill it (?host=3&source=iso&pool=…&volume=…&name=…)."""
    hosts = list(offers.hosts())
    wanted = request.GET.get("host", "")
    host = next((host for host in hosts if str(host.pk) == wanted), hosts[0] if hosts else None)
    context: dict[str, Any] = {"hosts": hosts, "host": host, "any_host": bool(hosts) or Host.objects.exists()}
    if host:
        known = ("name", "title", "source", "pool", "volume")
        context["choices"] = offers.choices_of(host)
        context["given"] = {key: request.GET[key][:255] for key in known if key in request.GET}
    return render(request, "guests/create.html", context)


@need("guest.create")
@require_GET
def choices(request: HttpRequest) -> JsonResponse:
    """What another host offers."""
    return JsonResponse(offers.choices_of(_host(request, request.GET.get("host", ""))))


@need("guest.create")
@require_POST
def check(request: HttpRequest) -> JsonResponse:
    """What is wrong or questionable in what was typed so far, by field; the operation checks by the same code."""
    try:
        body = json.loads(request.body[:MAX_BODY] or b"{}")
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("params"), dict):
        return JsonResponse({"error": "params"}, status=400)
    host = _host(request, str(body.get("host", "")))
    found = examine(host, body["params"])
    virt = Wish(host, found.params).virt if found.params else ""
    return JsonResponse({"errors": found.errors, "warnings": found.warnings, "virt": virt})
