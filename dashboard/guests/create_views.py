"""The page that makes a guest: its form, the checks while one types, and the choices of another host."""

from __future__ import annotations

import json
from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from dashboard.accounts.access import on_hosts_where
from dashboard.accounts.decorators import need
from dashboard.accounts.models import User
from dashboard.guests import choices as offers
from dashboard.guests.operations.wish import Wish, examine
from dashboard.inventory.models import Host
from dashboard.jobs import gauges, quotas

MAX_BODY = 64 * 1024


def _host(request: HttpRequest, key: str) -> Host:
    """A host on which this person may make guests, or 404."""
    where = on_hosts_where(cast("User", request.user), "guest.create", "pk")
    host = Host.objects.filter(where, pk=int(key)).first() if key.isdecimal() and len(key) < 16 else None
    if host is None:
        raise Http404
    return host


@need("guest.create")
@require_GET
def create(request: HttpRequest) -> HttpResponse:
    """The form; an address may fill it (?host=3&source=iso&pool=…&volume=…&name=…)."""
    user = cast("User", request.user)
    hosts = list(offers.hosts(user))
    wanted = request.GET.get("host", "")
    host = next((host for host in hosts if str(host.pk) == wanted), hosts[0] if hosts else None)
    context: dict[str, Any] = {
        "hosts": hosts,
        "host": host,
        "any_host": bool(hosts) or Host.objects.filter(on_hosts_where(user, "guest.create", "pk")).exists(),
    }
    if host:
        known = ("name", "title", "source", "pool", "volume")
        context["choices"] = offers.choices_of(host, user)
        context["quotas"] = gauges.shown(quotas.gauges(cast("User", request.user)))
        context["given"] = {key: request.GET[key][:255] for key in known if key in request.GET}
    return render(request, "guests/create.html", context)


@need("guest.create")
@require_GET
def choices(request: HttpRequest) -> JsonResponse:
    """What another host offers."""
    return JsonResponse(offers.choices_of(_host(request, request.GET.get("host", "")), cast("User", request.user)))


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
    user = cast("User", request.user)
    found = examine(host, body["params"], user)
    virt = Wish(host, found.params).virt if found.params else ""
    shown = gauges.shown(quotas.gauges(user, found.need))
    return JsonResponse({"errors": found.errors, "warnings": found.warnings, "virt": virt, "quotas": shown})
