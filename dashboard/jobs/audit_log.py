"""Reading the audit log: its filters, pages by time, and a job's start and end as the one line that they are for people."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.dateparse import parse_datetime

from dashboard.accounts.events import EVENTS
from dashboard.accounts.models import AuditEntry
from dashboard.jobs.operation import OPERATIONS
from dashboard.jobs.wording import english, spoken

PAGE = 50
MOST_WORDS = 8
"""Of a search; each is one more pass over several columns."""
TEXTS = ("actor_name", "object_name", "action", "host_name", "source_ip")
ENDS = ("failed", "cancelled", "needs_attention")
INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def label_of(action: str) -> str:
    """What was done, in the active language; the code itself where this version has no words for it."""
    declared = OPERATIONS.get(action)
    label = EVENTS.get(action) or (declared.label if declared else None)
    return spoken(english(label)) if label else action


def choices() -> list[tuple[str, str]]:
    """Everything that can be done, by its words."""
    return sorted(((action, label_of(action)) for action in {*EVENTS, *OPERATIONS}), key=lambda one: (one[1], one[0]))


def visible(text: str) -> str:
    """Text that somebody chose, with all that would not be seen, or would steer a terminal, written out: \\x1b, \\u202e."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in INVISIBLE else char for char in text
    )


@dataclass(frozen=True)
class Filters:
    """What is looked for; empty: everything."""

    q: str = ""
    person: str = ""
    action: str = ""
    object: str = ""
    host: str = ""
    result: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def given(self) -> dict[str, str]:
        """Those that narrow, as text."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items() if value
        }


def entries(filters: Filters) -> QuerySet[AuditEntry]:
    """The lines, newest first: a job's end is no line of its own."""
    found = AuditEntry.objects.exclude(phase="end")
    exact = {"actor_name": filters.person, "action": filters.action, "host_name": filters.host}
    found = found.filter(**{name: value for name, value in exact.items() if value})
    if filters.object:
        found = found.filter(Q(object_name=filters.object) | Q(object_key=filters.object))
    if filters.since:
        found = found.filter(at__gte=filters.since)
    if filters.until:
        found = found.filter(at__lt=filters.until)
    for word in filters.q.split()[:MOST_WORDS]:
        found = found.filter(_word(word))
    return found.filter(_result(filters.result)) if filters.result else found


def _word(word: str) -> Q:
    wanted = Q()
    for name in TEXTS:
        wanted |= Q(**{f"{name}__icontains": word})
    said = [action for action, label in choices() if word.lower() in label.lower()]
    return wanted | Q(action__in=said) if said else wanted


def _result(result: str) -> Q:
    if result == "denied":
        return Q(phase="denied")
    ended = AuditEntry.objects.filter(phase="end", result="succeeded" if result == "ok" else result)
    if result == "ok":
        # Most ended so: the newest lines are asked one by one. The others are few, and looked up first.
        return Q(Exists(ended.filter(job_id=OuterRef("job_id"))), phase="start") | Q(phase="event", result="ok")
    return Q(phase="start", job_id__in=ended.values("job_id"))


# -- pages


@dataclass(frozen=True)
class Mark:
    """A place in the log: between two lines."""

    at: datetime
    id: uuid.UUID

    def __str__(self) -> str:
        return f"{self.at.isoformat()}_{self.id.hex}"


def mark_of(text: str) -> Mark | None:
    """The place that an address names; None for what is none."""
    moment, _, key = text.partition("_")
    try:
        at = parse_datetime(moment.replace(" ", "+"))
        return Mark(at, uuid.UUID(key)) if at is not None and at.tzinfo is not None else None
    except ValueError:
        return None


def older(found: QuerySet[AuditEntry], mark: Mark | None) -> QuerySet[AuditEntry]:
    """The lines after a place as they are read, newest first."""
    if mark is None:
        return found
    return found.filter(at__lte=mark.at).exclude(at=mark.at, id__gte=mark.id)


def newer(found: QuerySet[AuditEntry], mark: Mark) -> QuerySet[AuditEntry]:
    """The lines before a place, nearest first."""
    return found.filter(at__gte=mark.at).exclude(at=mark.at, id__lte=mark.id).order_by("at", "id")


@dataclass(frozen=True)
class Page:
    """Some lines, and the marks with which the next and previous ones are asked for ("" where there are none)."""

    lines: Sequence[AuditEntry]
    older: str = ""
    newer: str = ""


def page(filters: Filters, *, before: str = "", after: str = "") -> Page:
    """One page; without a mark the newest lines. One query."""
    found = entries(filters)
    if (mark := mark_of(after)) is not None:
        near = list(newer(found, mark)[: PAGE + 1])
        lines = list(reversed(near[:PAGE]))
        if lines:
            return Page(lines, _mark(lines[-1]), _mark(lines[0]) if len(near) > PAGE else "")
    mark = mark_of(before)
    near = list(older(found, mark)[: PAGE + 1])
    lines = near[:PAGE]
    if not lines:
        return Page([])
    return Page(lines, _mark(lines[-1]) if len(near) > PAGE else "", _mark(lines[0]) if mark is not None else "")


def _mark(entry: AuditEntry) -> str:
    return str(Mark(entry.at, entry.pk))


def ends_of(lines: Sequence[AuditEntry]) -> dict[uuid.UUID | None, AuditEntry]:
    """The ends of the jobs whose start is among the lines. One query."""
    jobs = [entry.job_id for entry in lines if entry.phase == "start" and entry.job_id]
    return {end.job_id: end for end in AuditEntry.objects.filter(job_id__in=jobs, phase="end")} if jobs else {}


def record_of(entry: AuditEntry, end: AuditEntry | None) -> dict[str, Any]:
    """One line as data, for exports."""
    return {
        "at": entry.at.isoformat(),
        "ended_at": end.at.isoformat() if end else None,
        "who": entry.actor_name,
        "action": entry.action,
        "phase": entry.phase,
        "object_kind": entry.object_kind,
        "object_key": entry.object_key,
        "object_name": entry.object_name,
        "host": entry.host_name,
        "result": end.result if end else entry.result,
        "source_ip": entry.source_ip,
        "job": str(entry.job_id) if entry.job_id else None,
        "detail": {**entry.detail, **(end.detail if end else {})},
    }
