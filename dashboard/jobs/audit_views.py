"""The page of the audit log and its export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django.contrib.auth.models import Group
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from dashboard.accounts import audit
from dashboard.accounts.access import can, guests_where, on_hosts_where
from dashboard.accounts.adapter import client_ip
from dashboard.accounts.decorators import need
from dashboard.accounts.models import AUDIT_WORDS, AuditEntry, User
from dashboard.inventory.models import Guest, Host
from dashboard.jobs import audit_export, audit_log
from dashboard.jobs.audit_forms import AuditForm
from dashboard.jobs.audit_log import visible
from dashboard.jobs.queries import visible_jobs

TONES = {"denied": "bad", "failed": "bad", "needs_attention": "bad", "cancelled": "warn"}
OFFERED = 500
"""Names of people and hosts that the fields propose."""

Row = dict[str, Any]


@need("audit.view")
@require_GET
def log(request: HttpRequest) -> HttpResponse:
    """The audit log, newest first; filters and place are in the address. The same few queries however long it is."""
    form = AuditForm(request.GET)
    valid = form.is_valid()
    filters = form.filters()
    page = audit_log.page(filters, before=request.GET.get("before", ""), after=request.GET.get("after", ""))
    context = {
        "form": form,
        "page": page,
        "rows": rows(cast("User", request.user), page.lines),
        "filtered": bool(filters.given()) or not valid,
        "narrowed": bool(filters.given().keys() - {"q"}) or not valid,
        "people": User.objects.order_by("username").values_list("username", flat=True)[:OFFERED],
        "hosts": Host.objects.order_by("name").values_list("name", flat=True)[:OFFERED],
    }
    return render(request, "jobs/audit.html", context)


@need("audit.view")
@require_GET
def export(request: HttpRequest, ending: str) -> StreamingHttpResponse:
    """The lines that the filters leave, as a file; that somebody took it is written down first."""
    form = AuditForm(request.GET)
    if ending not in audit_export.FORMATS or not form.is_valid():
        raise Http404
    filters = form.filters()
    audit.record(
        actor=cast("User", request.user),
        action="audit.export",
        phase="event",
        result="ok",
        source_ip=client_ip(request),
        detail={"format": ending, **filters.given()},
    )
    answer = StreamingHttpResponse(audit_export.stream(filters, ending), content_type=audit_export.FORMATS[ending][0])
    day = timezone.localtime().strftime("%Y-%m-%d")
    answer["Content-Disposition"] = f'attachment; filename="kvmweb-audit-{day}.{ending}"'
    answer["Cache-Control"] = "no-store"
    return answer


def rows(user: User, lines: Sequence[AuditEntry]) -> list[Row]:
    """The lines as the page shows them: six queries, however many."""
    ends = audit_log.ends_of(lines)
    links = _links(user, lines)
    jobs = dict(visible_jobs(user).filter(pk__in=[one.job_id for one in lines]).values_list("pk", "state"))
    return [_row(entry, ends.get(entry.job_id) if entry.phase == "start" else None, links, jobs) for entry in lines]


def _row(entry: AuditEntry, end: AuditEntry | None, links: dict[Any, str], jobs: dict[Any, str]) -> Row:
    result = "denied" if entry.phase == "denied" else end.result if end else entry.result
    running = jobs.get(entry.job_id, "") if entry.phase == "start" and end is None else ""
    detail = {**entry.detail, **(end.detail if end else {})}
    words = str(AUDIT_WORDS.get(entry.result, entry.result)) if entry.phase == "denied" else ""
    return {
        "at": entry.at,
        "who": visible(entry.actor_name),
        "what": audit_log.label_of(entry.action),
        "code": entry.action,
        "object": visible(entry.object_name or entry.object_key),
        "url": links.get(_place(entry), ""),
        "host": visible(entry.host_name),
        "result": visible(str(AUDIT_WORDS.get(result, result))),
        "why": visible(words),
        "tone": TONES.get(result, ""),
        "running": running,
        "job": reverse("jobs:detail", args=[entry.job_id]) if entry.job_id in jobs else "",
        "ended_at": end.at if end else None,
        "source_ip": visible(entry.source_ip),
        "detail": [(visible(str(name)), visible(_plain(value))) for name, value in detail.items()],
    }


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "–" if value is None else str(value)


def _place(entry: AuditEntry) -> tuple[str, ...]:
    """What the line is about; a guest's UUID means a machine only together with its host."""
    where = (entry.host_name,) if entry.object_kind == "guest" else ()
    return (entry.object_kind, entry.object_key, *where)


def _links(user: User, lines: Sequence[AuditEntry]) -> dict[Any, str]:
    """The pages of the objects that are still there and that this person may see."""
    keys: dict[str, set[str]] = {"guest": set(), "host": set(), "person": set(), "group": set()}
    for entry in lines:
        if entry.object_kind in keys and entry.object_key:
            keys[entry.object_kind].add(entry.object_key)
    numbers = {
        kind: [key for key in keys[kind] if key.isdecimal() and len(key) < 16] for kind in ("host", "person", "group")
    }
    guests = Guest.objects.filter(guests_where(user), uuid__in=filter(_uuid, keys["guest"])).select_related("host")
    found: dict[Any, str] = {
        ("guest", str(one.uuid), one.host.name): f"{reverse('guests:detail', args=[one.uuid])}?host={one.host_id}"
        for one in guests.only("uuid", "host__name")
    }
    for host in Host.objects.filter(on_hosts_where(user, "host.view", "pk"), pk__in=numbers["host"]).only("pk"):
        found["host", str(host.pk)] = reverse("hosts:detail", args=[host.pk])
    if can(user, "people.manage"):
        for person in User.objects.filter(pk__in=numbers["person"]).only("pk"):
            found["person", str(person.pk)] = reverse("accounts:person", args=[person.pk])
        for group in Group.objects.filter(pk__in=numbers["group"]).only("pk"):
            found["group", str(group.pk)] = reverse("accounts:people-group", args=[group.pk])
    return found


def _uuid(key: str) -> bool:
    return len(key) == 36
