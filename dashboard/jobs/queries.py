"""The reads of the jobs room."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.db.models import CharField, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat, Replace
from django.utils import timezone

from dashboard.accounts.access import ALL, Rights, can, can_somewhere, limits_of, rights_of
from dashboard.accounts.models import User
from dashboard.inventory.models import Guest
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS
from dashboard.jobs.wording import spoken

RECENT = 20
RECENT_HOURS = 24
LOG_LINES = 2000


def visible_jobs(user: User) -> QuerySet[Job]:
    """The jobs that this person may see, newest first: their own, and those on what they have job.view on.

    A token sees the jobs that it made itself, and of its owner's what its scope covers.
    """
    if can(user, "job.view"):
        return Job.objects.all()
    own, limits = Q(created_by=user), limits_of(user)
    if limits is not ALL:
        own &= Q(token=user.__dict__.get("_token")) | _viewed(limits)
    return Job.objects.alias(spot=_spot("object_key")).filter(own | (_viewed(rights_of(user)) & _viewed(limits)))


def _viewed(rights: Rights) -> Q:
    """The jobs for which there is job.view: on everything, on their host, on their guest, or on one of its tags."""
    if "job.view" in rights.everywhere:
        return Q(pk__isnull=False)
    wanted = rights.hosts_with("job.view")
    for (host, key), held in rights.guests.items():
        if "job.view" in held:
            wanted |= Q(host_id=host, object_kind="guest", object_key=key)
    tags = {tag: held for tag, held in rights.tags.items() if "job.view" in held}
    if tags:
        guests = Guest.objects.filter(Rights(tags=tags).guests_with("job.view")).annotate(spot=_spot("uuid"))
        wanted |= Q(object_kind="guest", spot__in=guests.order_by().values("spot"))
    return wanted


def _spot(field: str) -> Concat:
    """Host and UUID in one text, alike for jobs, which keep UUIDs as text, and guests, whatever the database keeps."""
    bare = Replace(Cast(field, CharField()), Value("-"), Value(""))
    return Concat(Cast("host_id", CharField()), Value("/"), bare, output_field=CharField())


def filtered(user: User, *, state: str = "", host: str = "", search: str = "", parent: str = "") -> QuerySet[Job]:
    """Visible jobs of that state ("active": all that go on), host id, and with that text in their object's name.

    `parent`: the children of that job. Else children are left out where their parent stands for them, but in a search.
    """
    jobs = visible_jobs(user)
    if parent:
        jobs = jobs.filter(parent=_uuid_of(parent))
    elif not search and not host:
        jobs = jobs.filter(parent__isnull=True) if can(user, "job.view") else jobs.exclude(parent__created_by=user)
    if state == "active":
        jobs = jobs.filter(state__in=Job.ACTIVE)
    elif state in Job.State.values:
        jobs = jobs.filter(state=state)
    if host.isdecimal() and len(host) < 16:
        jobs = jobs.filter(host_id=int(host))
    if search:
        jobs = jobs.filter(Q(object_name__icontains=search) | Q(operation__icontains=search))
    return jobs


def _uuid_of(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.UUID(int=0)  # nobody's


def recent_jobs(user: User) -> list[Job]:
    """For the drawer: one's own of the last day, and whatever is going on."""
    since = timezone.now() - timedelta(hours=RECENT_HOURS)
    mine: dict[str, Any] = {"created_by": user, "created_at__gte": since}
    jobs = visible_jobs(user).filter(parent__isnull=True)
    return list(jobs.filter(Q(**mine) | Q(state__in=Job.ACTIVE))[:RECENT])


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
    if declared is None:
        return False
    if job.is_parent and job.created_by_id == user.pk:
        return can_somewhere(user, declared.permission)
    return can(user, declared.permission, job)


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
