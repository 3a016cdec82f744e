"""One guest's pages: its tabs, its menu and dialogs, its notes."""

from __future__ import annotations

import uuid as uuids
from typing import Any, cast

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from dashboard.accounts.access import can
from dashboard.accounts.adapter import client_ip
from dashboard.accounts.decorators import Missing, need
from dashboard.accounts.models import User
from dashboard.consoles.csp import terminal_page
from dashboard.guests import actions, detail, queries, trace
from dashboard.guests.forms import NotesForm
from dashboard.guests.models import GuestNotes
from dashboard.inventory import metrics
from dashboard.inventory.models import Guest
from dashboard.jobs.rows import job_row


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)


def one_guest(request: HttpRequest, uuid: uuids.UUID) -> Guest:
    """The guest; the same 404 for one that is not there and one that this person may not see."""
    found = queries.find(_user(request), uuid, request.GET.get("host", ""))
    if len(found) != 1:
        raise Http404
    return found[0]


def _page(request: HttpRequest, uuid: uuids.UUID, tab: str, more: Any = None) -> HttpResponse:
    """One tab of one guest's page; a choice when several hosts have a guest of this UUID."""
    found = queries.find(_user(request), uuid, request.GET.get("host", ""))
    if len(found) > 1:
        return render(request, "guests/choose.html", {"guests": found, "tab": tab})
    if not found:
        raise Http404
    context = detail.frame(_user(request), found[0], tab)
    context |= more(found[0]) if more else {}
    return render(request, f"guests/{tab}.html", context)


@need("guest.view")
@require_GET
def overview(request: HttpRequest, uuid: uuids.UUID) -> HttpResponse:
    """What the machine is: state, hardware, disks, network cards."""
    return _page(request, uuid, "overview", detail.overview)


@need("guest.view")
@require_GET
def performance(request: HttpRequest, uuid: uuids.UUID) -> HttpResponse:
    """Charts of the last minutes, and the same as a table."""
    return _page(request, uuid, "performance", detail.performance)


@need("guest.watch")
@require_GET
def console(request: HttpRequest, uuid: uuids.UUID) -> HttpResponse:
    """The screen."""
    return _page(request, uuid, "console")


@need("guest.watch")
@require_GET
@terminal_page
def serial(request: HttpRequest, uuid: uuids.UUID) -> HttpResponse:
    """The serial line."""
    return _page(request, uuid, "serial")


@need("guest.view")
@require_GET
def xml(request: HttpRequest, uuid: uuids.UUID) -> HttpResponse:
    """The definition as libvirt tells it, without secrets."""
    return _page(request, uuid, "xml", detail.xml)


@need("guest.view")
@require_GET
def jobs(request: HttpRequest, uuid: uuids.UUID) -> HttpResponse:
    """What was done to this guest."""
    user = _user(request)
    return _page(request, uuid, "jobs", lambda guest: {"rows": [job_row(job) for job in queries.jobs_of(user, guest)]})


@need("guest.view")
@require_http_methods(["GET", "POST"])
def notes(request: HttpRequest, uuid: uuids.UUID) -> HttpResponse:
    """Notes in Markdown: read by everybody who may see the guest, written by those who may change it."""
    if request.method == "GET":
        return _page(request, uuid, "notes", detail.notes)
    guest = one_guest(request, uuid)
    if not can(request.user, "guest.change", guest):
        raise Missing("guest.change")
    form = NotesForm(request.POST)
    if not form.is_valid():
        return _page(request, uuid, "notes", lambda found: {**detail.notes(found), "form": form})
    changed = {"text": form.cleaned_data["text"], "changed_by": _user(request).get_username()}
    with transaction.atomic():
        GuestNotes.objects.update_or_create(guest=guest, defaults=changed)
        trace.notes_changed(_user(request), guest, len(changed["text"]), client_ip(request))
    messages.success(request, _("The notes are saved."))
    return redirect(f"{reverse('guests:notes', args=[guest.uuid])}?host={guest.host_id}")


@need("guest.view")
@require_GET
def menu(request: HttpRequest, uuid: uuids.UUID) -> HttpResponse:
    """The menu of all operations on one guest, each with the reason why it does not fit now."""
    guest = one_guest(request, uuid)
    return render(request, "guests/_menu.html", {"guest": guest, "groups": actions.menu(_user(request), guest)})


@need("guest.view")
@require_GET
def dialog(request: HttpRequest, uuid: uuids.UUID, name: str) -> HttpResponse:
    """The dialog of an operation that asks something (a new name, tags, which disks to delete)."""
    guest = one_guest(request, uuid)
    if name not in actions.DIALOGS or not can(request.user, actions.DIALOGS[name], guest):
        raise Http404
    return render(
        request, f"guests/dialogs/{name}.html", {"guest": guest, **detail.dialog(_user(request), guest, name)}
    )


@need("guest.view")
@require_GET
def history(request: HttpRequest, uuid: uuids.UUID) -> JsonResponse:
    """The figures of the last minutes as JSON, for charts that come back from a gap."""
    guest = one_guest(request, uuid)
    return JsonResponse({"samples": metrics.history(guest.host_id, str(guest.uuid))})


@need("guest.view")
@require_GET
def tags(request: HttpRequest) -> JsonResponse:
    """Every tag in use, for suggestions."""
    return JsonResponse({"tags": queries.tags_in_use(_user(request))})
