"""The reads of the jobs room."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from dashboard.accounts.access import can
from dashboard.accounts.models import User
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS
from dashboard.jobs.wording import spoken

RECENT = 20
RECENT_HOURS = 24
LOG_LINES = 2000


def visible_jobs(user: User) -> QuerySet[Job]:
    """The jobs that this person may see, newest first."""
    jobs = Job.objects.all()
    return jobs if can(user, "job.view") else jobs.filter(created_by=user)


def filtered(user: User, *, state: str = "", host: str = "", search: str = "") -> QuerySet[Job]:
    """Visible jobs of that state ("active": all that go on), host id, and with that text in their object's name."""
    jobs = visible_jobs(user)
    if state == "active":
        jobs = jobs.filter(state__in=Job.ACTIVE)
    elif state in Job.State.values:
        jobs = jobs.filter(state=state)
    if host.isdecimal() and len(host) < 16:
        jobs = jobs.filter(host_id=int(host))
    if search:
        jobs = jobs.filter(Q(object_name__icontains=search) | Q(operation__icontains=search))
    return jobs


def recent_jobs(user: User) -> list[Job]:
    """For the drawer: one's own of the last day, and whatever is going on."""
    since = timezone.now() - timedelta(hours=RECENT_HOURS)
    mine: dict[str, Any] = {"created_by": user, "created_at__gte": since}
    return list(visible_jobs(user).filter(Q(**mine) | Q(state__in=Job.ACTIVE))[:RECENT])


def log_of(job: Job) -> list[dict[str, Any]]:
    """The job's log in the active language, oldest first."""
    return [
        {"at": line.at, "level": line.level, "text": spoken(line.text, line.values)}
        for line in job.lines.all()[:LOG_LINES]
    ]


def repeatable(job: Job) -> bool:
    """Whether "try again" may be offered."""
    return job.state not in (*Job.ACTIVE, Job.State.SUCCEEDED) and job.operation in OPERATIONS


def may_act(user: User, job: Job) -> bool:
    """Whether this person may cancel or repeat the job."""
    declared = OPERATIONS.get(job.operation)
    return declared is not None and can(user, declared.permission, job)


def steps_of(job: Job) -> list[dict[str, Any]]:
    """The job's steps in the active language, each with a state of its own."""
    found: list[dict[str, Any]] = []
    for index, label in enumerate(job.steps):
        now = index == job.step and job.state != Job.State.SUCCEEDED
        done = Job.State.SUCCEEDED if job.state == Job.State.SUCCEEDED or index < job.step else Job.State.QUEUED
        found.append(
            {"label": spoken(label), "state": str(job.state if now else done), "now": now and job.state in Job.ACTIVE}
        )
    return found
