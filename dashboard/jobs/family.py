"""A parent and its children: whose turn it is on a host, how far they are together, and the one end of the parent.

Nobody runs a parent and no thread watches over it. Its children are ordinary jobs of the queue "many"; whoever ends one
looks how the others stand, and the reconciler looks every few seconds, so that a lost look harms nothing.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter, defaultdict
from datetime import timedelta
from itertools import chain, zip_longest
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Count, Min, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from dashboard.jobs import doorbell, news, quotas
from dashboard.jobs.errors import NotCancellable
from dashboard.jobs.models import MANY, PARENT, Job

logger = logging.getLogger(__name__)

AT_ONCE = 16
"""Most children that are rung for in one go."""
RUNG_LATELY = 3.0
TELL_EVERY = 0.25
"""Seconds between two rows of one parent that pages are told."""
TURNS = 6_713_021
"""The number of the advisory lock under which PostgreSQL gives turns; SQLite has one writer anyway."""

PROGRESS = gettext_noop("%(done)s of %(all)s done, %(failed)s failed")
SOME_FAILED = gettext_noop("%(failed)s of %(all)s failed.")
SOME_CANCELLED = gettext_noop("%(failed)s of %(all)s failed, %(cancelled)s were cancelled.")
STOPPED = gettext_noop("Cancelled: %(done)s of %(all)s were done, %(failed)s failed, %(cancelled)s were cancelled.")

_RUNNING = (Job.State.RUNNING, Job.State.UNDOING)
_told: dict[uuid.UUID, float] = {}
_late: set[uuid.UUID] = set()
_guard = threading.Lock()


# -- turns


def has_turn(job_id: uuid.UUID) -> bool:
    """Whether the job may begin now: a child waits while its host has enough of them. Ask in the claim's transaction."""
    child = Job.objects.filter(pk=job_id, queue=MANY, state=Job.State.QUEUED).values_list("host_id").first()
    if child is None:
        return True
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TURNS])
    running = Job.objects.filter(_on(child[0]), queue=MANY, state__in=_RUNNING).count()
    return running < settings.BULK_PER_HOST


def not_now(job_id: uuid.UUID) -> None:
    """A ring that came too early: the child waits on, and may be rung for as soon as there is room."""
    Job.objects.filter(pk=job_id, queue=MANY, state=Job.State.QUEUED).update(rung_at=None)


def ring(most: int = AT_ONCE) -> int:
    """Ring for children whose turn it is; returns how many. Each is rung for by one of those who look at once."""
    rung = 0
    for job_id in _due(most):
        if not _silent().filter(pk=job_id).update(rung_at=Now()):
            continue
        if not doorbell.ring(str(job_id), MANY):
            break
        rung += 1
    return rung


def _silent() -> QuerySet[Job]:
    lately = Now() - timedelta(seconds=RUNG_LATELY)
    waiting = Job.objects.filter(queue=MANY, state=Job.State.QUEUED)
    return waiting.filter(Q(rung_at__isnull=True) | Q(rung_at__lt=lately))


def _on(host: int | None) -> Q:
    return Q(host__isnull=True) if host is None else Q(host_id=host)


def _due(most: int) -> list[uuid.UUID]:
    """Up to `most` children that hosts have room for: idle hosts first, and on a host every parent in turn."""
    waiting = Job.objects.filter(queue=MANY, state=Job.State.QUEUED).order_by()
    parents: dict[int | None, list[tuple[Any, uuid.UUID]]] = defaultdict(list)
    for host, parent, first in waiting.values_list("host_id", "parent_id").annotate(first=Min("created_at")):
        parents[host].append((first, parent))
    if not parents:
        return []
    busy = Counter(Job.objects.filter(queue=MANY, state__in=_RUNNING).values_list("host_id", "parent_id"))
    on_host: Counter[int | None] = Counter()
    for (host, _parent), number in busy.items():
        on_host[host] += number
    found: list[uuid.UUID] = []
    for host in sorted(parents, key=lambda one: (on_host[one], min(parents[one]))):
        room = min(settings.BULK_PER_HOST - on_host[host], most - len(found))
        if room <= 0:
            continue
        turns = sorted(parents[host], key=lambda one, at=host: (busy[at, one[1]], one))  # type: ignore[misc]
        lines = [_silent().filter(_on(host), parent=parent).order_by("created_at", "pk")[:room] for _, parent in turns]
        row = chain.from_iterable(zip_longest(*(line.values_list("pk", flat=True) for line in lines[:room])))
        found += [pk for pk in row if pk is not None][:room]
    return found


# -- how far they are


def ended(child: Job) -> None:
    """A child has ended: its parent's progress follows, at most a few times a second; its end at once."""
    parent = child.parent_id
    if parent is None:
        return
    with _guard:
        now = time.monotonic()
        soon = now - _told.get(parent, -TELL_EVERY) < TELL_EVERY
        if soon:
            _late.add(parent)
        else:
            _told[parent] = now
    try:
        if not soon or not Job.objects.filter(parent=parent, state__in=Job.ACTIVE).exists():
            settle(parent)
    except DatabaseError:
        logger.exception("job %s: its progress was not written; the reconciler does it", parent)


def flush() -> None:
    """Settle the parents whose last children ended too soon after others to be told at once."""
    with _guard:
        late = list(_late)
    for parent in late:
        settle(parent)


def settle_all() -> None:
    """Settle every parent that goes on, whoever should have done it."""
    for parent in list(Job.objects.filter(queue=PARENT, state__in=Job.ACTIVE).values_list("pk", flat=True)):
        settle(parent)


def settle(parent_id: uuid.UUID) -> None:
    """Write how the children stand to their parent; end it when the last of them has ended. Harmless at any time."""
    with _guard:
        _late.discard(parent_id)
    with transaction.atomic():
        parent = Job.objects.select_for_update(of=("self",)).select_related("created_by").filter(pk=parent_id).first()
        if parent is None or parent.state != Job.State.RUNNING:
            return
        counts = counts_of(parent)
        fields = _ending(parent, counts) if not counts["active"] else _going_on(counts)
        if parent.result == fields["result"] and counts["active"]:
            return
        Job.objects.filter(pk=parent_id).update(**fields)
        parent.refresh_from_db()
        if not counts["active"]:
            news.note(parent, "end", str(parent.state))
    if not counts["active"]:
        with _guard:
            _told.pop(parent_id, None)
    news.tell(parent)


def counts_of(parent: Job) -> dict[str, int]:
    """How many children there are in each state, how many in all, and how many go on."""
    found = dict(parent.children.order_by().values_list("state").annotate(number=Count("pk")))
    counts = {str(state): int(found.get(state, 0)) for state in Job.State.values}
    active = sum(counts[state] for state in Job.ACTIVE)
    return {**counts, "all": sum(counts.values()), "active": active}


def _values(counts: dict[str, int]) -> dict[str, int]:
    return {
        "done": counts["succeeded"],
        "failed": counts["failed"] + counts["needs_attention"],
        "cancelled": counts["cancelled"],
        "all": counts["all"],
    }


def _going_on(counts: dict[str, int]) -> dict[str, Any]:
    return {
        "progress": (counts["all"] - counts["active"]) / counts["all"],
        "message": PROGRESS,
        "message_values": _values(counts),
        "result": {"children": counts},
    }


def _ending(parent: Job, counts: dict[str, int]) -> dict[str, Any]:
    """The parent's final state: done when all are, else what is worst, said in numbers."""
    state, code, text = Job.State.FAILED, "some_failed", SOME_CANCELLED if counts["cancelled"] else SOME_FAILED
    if counts["succeeded"] == counts["all"]:
        state, code, text = Job.State.SUCCEEDED, "", ""
    elif counts["needs_attention"]:
        state = Job.State.NEEDS_ATTENTION
    elif parent.cancel_requested and counts["cancelled"]:
        state, code, text = Job.State.CANCELLED, "cancelled", STOPPED
    return {
        "state": state,
        "error_code": code,
        "error": text,
        "error_values": _values(counts) if text else {},
        "progress": None,
        "message": "",
        "message_values": {},
        "result": {"children": counts},
        "finished_at": Now(),
    }


# -- cancel


def cancel(parent: Job, *, running_too: bool) -> Job:
    """End the children that wait and, with `running_too`, ask those that run to stop. Raises NotCancellable."""
    with transaction.atomic():
        found = Job.objects.select_for_update().filter(pk=parent.pk, state=Job.State.RUNNING, cancel_requested=False)
        if not found.exists():
            raise NotCancellable
        Job.objects.filter(pk=parent.pk).update(cancel_requested=True)
        children = Job.objects.filter(parent=parent)
        rows = children.select_for_update(of=("self",)).select_related("host", "created_by")
        waiting = list(rows.filter(state=Job.State.QUEUED))
        children.filter(state=Job.State.QUEUED).update(
            state=Job.State.CANCELLED, error_code="cancelled", cancel_requested=True, finished_at=Now()
        )
        for child in waiting:
            child.state, child.error_code = Job.State.CANCELLED, "cancelled"
            if "reserved" in child.plan:
                quotas.settle(child)
        news.note_all(waiting, "end")
        if running_too:
            children.filter(state=Job.State.RUNNING).update(cancel_requested=True)
    news.tell_all(waiting)
    settle(parent.pk)
    parent.refresh_from_db()
    return parent
