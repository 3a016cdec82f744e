"""Tickets for consoles, and the pop-out windows."""

from __future__ import annotations

import json
from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from dashboard.accounts.access import can, guests_where
from dashboard.accounts.adapter import client_ip
from dashboard.accounts.decorators import Missing, need
from dashboard.accounts.models import User
from dashboard.consoles import tickets
from dashboard.consoles.csp import terminal_page
from dashboard.consoles.forms import TicketForm
from dashboard.inventory.models import Guest


def find_guest(request: HttpRequest, **where: Any) -> Guest:
    """The guest, or 404 both for one that is not there and for one that this person may not see."""
    found = list(Guest.objects.select_related("host").filter(guests_where(cast("User", request.user)), **where)[:1])
    if not found:
        raise Http404
    return found[0]


def _on_host(request: HttpRequest) -> dict[str, int]:
    """The host that the address names: several may have a guest of this UUID."""
    host = request.GET.get("host", "")
    return {"host_id": int(host)} if host.isdecimal() and len(host) < 16 else {}


@require_POST
@need("guest.watch")
def ticket(request: HttpRequest) -> JsonResponse:
    """Issue a one-time ticket for a guest's screen or serial line; view-only for people who may only watch."""
    try:
        data = json.loads(request.body) if request.content_type == "application/json" else request.POST
    except (ValueError, RecursionError):
        data = {}
    form = TicketForm(data if isinstance(data, dict) else {})
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    asked = form.cleaned_data
    guest = find_guest(request, host_id=asked["host"], uuid=asked["uuid"])
    works = can(request.user, "guest.console", guest)
    if not works and not can(request.user, "guest.watch", guest):
        raise Missing("guest.watch")
    view_only = bool(asked["view_only"]) or not works
    token = tickets.issue(
        tickets.Ticket(
            user=int(request.user.pk or 0),
            session=tickets.digest(request.session.session_key or ""),
            host=guest.host_id,
            uuid=str(guest.uuid),
            kind=asked["kind"],
            permission="guest.console" if works and not view_only else "guest.watch",
            view_only=view_only,
            source_ip=client_ip(request),
        )
    )
    answer = JsonResponse({"ticket": token, "path": tickets.PATHS[asked["kind"]], "view_only": view_only})
    answer["Cache-Control"] = "no-store"
    return answer


@require_GET
@need("guest.watch")
def screen(request: HttpRequest, uuid: str) -> HttpResponse:
    """A guest's screen in a window of its own."""
    guest = find_guest(request, uuid=uuid, **_on_host(request))
    return render(
        request,
        "consoles/screen_window.html",
        {"guest": guest, "title": _("Screen of %(name)s") % {"name": guest.name}},
    )


@require_GET
@need("guest.watch")
@terminal_page
def serial(request: HttpRequest, uuid: str) -> HttpResponse:
    """A guest's serial line in a window of its own."""
    guest = find_guest(request, uuid=uuid, **_on_host(request))
    return render(
        request,
        "consoles/serial_window.html",
        {"guest": guest, "title": _("Serial line of %(name)s") % {"name": guest.name}},
    )
