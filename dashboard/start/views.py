"""The start page, and the answers of the box in the top bar."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboard.accounts.access import can_somewhere
from dashboard.accounts.decorators import signed_in
from dashboard.accounts.models import User
from dashboard.jobs.rows import job_row
from dashboard.start import attention
from dashboard.start import find as finding


@signed_in
@require_GET
def start(request: HttpRequest) -> HttpResponse:
    """What needs attention, of what one may see; small totals; what oneself did last."""
    user = cast("User", request.user)
    found = attention.attention(user)
    context = {
        "found": found,
        "jobs": [{"job": job, "row": job_row(job)} for job in found.jobs.items],
        "own_jobs": [{"job": job, "row": job_row(job)} for job in found.own_jobs],
        "sees_guests": can_somewhere(user, "guest.view"),
        "sees_hosts": can_somewhere(user, "host.view"),
        "may_create": can_somewhere(user, "guest.create"),
    }
    return render(request, "start/page.html", context)


@signed_in
@require_GET
def find(request: HttpRequest) -> JsonResponse:
    """Objects and pages by name, UUID or address, in groups."""
    groups = finding.find(cast("User", request.user), request.GET.get("q", ""))
    answer = JsonResponse({"groups": groups})
    answer["Cache-Control"] = "no-store"
    return answer
