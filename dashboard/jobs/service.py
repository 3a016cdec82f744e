"""The way in: a wish becomes a job row (the truth), its audit entry and a ring at the door; or one exact error."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.accounts import audit
from dashboard.accounts.access import can
from dashboard.accounts.models import User
from dashboard.inventory.models import Host
from dashboard.jobs import doorbell, family, news, quotas
from dashboard.jobs.errors import Denied, HostNotLive, Invalid, Locked, NotCancellable, Refused, SubmitError
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS, Need, Operation, Params
from dashboard.jobs.queries import may_act, visible_jobs
from dashboard.jobs.rows import cancellable
from dashboard.jobs.targets import Described, Target, describe, find, lock_of
from dashboard.jobs.wording import english, validate

logger = logging.getLogger(__name__)

KEY_LENGTH = 128


def submit(
    *,
    user: User,
    operation: str,
    target: Target = None,
    params: dict[str, Any] | Params | None = None,
    idempotency_key: str | None = None,
    source_ip: str = "",
    host: Host | None = None,
) -> Job:
    """Make a job of the wish and ring for it.

    Raises KeyError for an operation that there is not, Denied, Invalid (errors by field), HostNotLive, Locked (its
    `.job` is the active one) or Refused. The same `idempotency_key` of the same person gives the same job again.
    `host` is for operations without a target that concern a host all the same.
    """
    declared = OPERATIONS[operation]
    facts = describe(target, host)
    if not can(user, declared.permission, target or host):
        note_denied(declared, facts, user, source_ip)
        raise Denied(declared.permission)
    if (former := former_of(user, idempotency_key, declared, facts)) is not None:
        return former
    try:
        typed, lock = checked(user, declared, target, facts, {} if params is None else params)
    except SubmitError:
        # The other of two posts with one key may have come first since we looked.
        if (former := former_of(user, idempotency_key, declared, facts)) is not None:
            return former
        raise
    job = row(declared, facts, target, typed)
    # An empty header is no key: two such posts are two wishes.
    job.lock, job.idempotency_key = lock, idempotency_key or None
    sign(job, user, source_ip)
    return _insert(job, declared, facts, declared.reserve(user, target, typed))


def _holder_of(lock: str) -> Job | None:
    return Job.objects.filter(lock=lock, state__in=Job.ACTIVE).first()


def checked(
    user: User,
    declared: Operation,
    target: Target,
    facts: Described,
    params: dict[str, Any] | Params,
    holder_of: Callable[[str], Job | None] = _holder_of,
) -> tuple[Params, str]:
    """The typed parameters and the name of the lock, or the error that says why not."""
    typed, errors = validate(declared, params)
    if typed is None:
        raise Invalid(errors)
    if facts.host is not None and not declared.offline and facts.host.status != Host.Status.LIVE:
        raise HostNotLive(facts.host)
    lock = lock_of(declared, target, typed)
    if lock and (holder := holder_of(lock)):
        raise Locked(holder)
    if (reason := declared.refuse(target, typed)) is not None:
        raise Refused(reason)
    if found := declared.check(user, target, typed):
        raise Invalid({field: [str(text) for text in texts] for field, texts in found.items()})
    return typed, lock


def sign(job: Job, user: User, source_ip: str) -> None:
    """Write down who asked for it, with what, from where."""
    job.created_by, job.created_by_name, job.source_ip = user, user.get_username(), source_ip[:64]
    job.token = user.__dict__.get("_token")


def row(declared: Operation, facts: Described, target: Target, typed: Params) -> Job:
    """The job as it will stand in the table, still without who asked for it."""
    return Job(
        operation=declared.name,
        queue=declared.queue,
        host=facts.host,
        host_name=facts.host.name if facts.host else "",
        object_kind=facts.kind,
        object_key=facts.key,
        object_name=facts.name,
        params=typed.model_dump(mode="json"),
        plan=declared.plan(target, typed),
        virsh=declared.virsh(target, typed),
        steps=[english(step.label) for step in declared.steps],
        # The row and its ring go together; a ring that fails is repeated by the reconciler once this is old enough.
        rung_at=timezone.now(),
    )


def _insert(job: Job, declared: Operation, facts: Described, need: Need | None) -> Job:
    """Write the row and its audit entry; ring when they are committed. The indexes decide between two at once."""
    try:
        with transaction.atomic():
            job.save(force_insert=True)
            quotas.reserve(job, need)
            news.note(job, "start")
            transaction.on_commit(lambda: _announce(job), robust=True)
    except IntegrityError:
        if job.created_by and (former := former_of(job.created_by, job.idempotency_key, declared, facts)) is not None:
            return former
        holder = Job.objects.filter(lock=job.lock, state__in=Job.ACTIVE).first() if job.lock else None
        if holder is None:
            raise
        raise Locked(holder) from None
    return job


def _announce(job: Job) -> None:
    news.tell(job)  # first, so that no page hears "waiting" after "running"
    doorbell.ring(str(job.pk), job.queue)


def _go_on(user: User, former: Job, source_ip: str) -> Job:
    """A new job with the plan of one that failed after its object had gone: for what that left behind."""
    declared = OPERATIONS[former.operation]
    if not may_act(user, former):
        raise Denied(declared.permission)
    if former.host is not None and former.host.status != Host.Status.LIVE:
        raise HostNotLive(former.host)
    same = "operation queue host host_name object_kind object_key object_name lock params virsh steps"
    job = Job(**{name: getattr(former, name) for name in same.split()}, rung_at=timezone.now())
    job.plan = {name: value for name, value in former.plan.items() if name != "reserved"}
    sign(job, user, source_ip)
    return _insert(job, declared, Described(job.object_kind, job.object_key, job.object_name, job.host), None)


def repeated(user: User, key: str | None, operation: str, object_key: str) -> Job | None:
    """The job that this wish became when it was first sent with this key: to be asked before its object is looked for.

    A client that got no answer repeats itself, also when what it wanted deleted is gone by then. Raises Invalid.
    """
    declared = OPERATIONS[operation]
    kind = "" if declared.target == "none" else declared.target
    return former_of(user, key, declared, Described(kind, object_key.lower() if kind else "", "", None))


def former_of(user: User, key: str | None, declared: Operation, facts: Described) -> Job | None:
    """The job that this person already made with this key; a key used for something else is an error.

    So is one under which a narrow token would learn of a job that it does not see.
    """
    if not key:
        return None
    if len(key) > KEY_LENGTH:
        raise Invalid({"": [_("The idempotency key is longer than 128 characters.")]})
    former = Job.objects.filter(created_by=user, idempotency_key=key).first()
    if former is None:
        return None
    same = (former.operation, former.object_kind, former.object_key) == (declared.name, facts.kind, facts.key)
    if not same or not visible_to(user, former):
        raise Invalid({"": [_("This idempotency key was used for another job.")]})
    return former


def note_denied(declared: Operation, facts: Described, user: User, source_ip: str) -> None:
    """Write down that somebody tried what they may not do."""
    audit.record(
        actor=user if user.is_authenticated else None,
        action=declared.name,
        phase="denied",
        object_kind=facts.kind,
        object_key=facts.key,
        object_name=facts.name,
        host_name=facts.host.name if facts.host else "",
        source_ip=source_ip,
    )


def visible_to(user: User, job: Job) -> bool:
    """Whether the person may see the job: their own, or everybody's with job.view."""
    return visible_jobs(user).filter(pk=job.pk).exists()


def cancel(user: User, job: Job, *, source_ip: str = "") -> Job:
    """Ask the job to stop. One that waits ends at once; a running one stops at the next safe place and undoes.

    Raises Denied or NotCancellable.
    """
    declared = OPERATIONS.get(job.operation)
    if declared is None or not visible_to(user, job) or not may_act(user, job):
        raise Denied(declared.permission if declared else "")
    if job.is_parent:
        done = family.cancel(job, running_too=declared.cancellable)
        _note_cancel(user, job, source_ip)
        return done
    with transaction.atomic():
        waiting = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED)
        ended = waiting.update(
            state=Job.State.CANCELLED, error_code="cancelled", cancel_requested=True, finished_at=Now()
        )
        if ended:
            job.refresh_from_db()
            quotas.settle(job)
            _note_cancel(user, job, source_ip)
            news.note(job, "end", str(job.state))
    if ended:
        news.tell(job)
        family.ended(job)
        return job
    job.refresh_from_db()
    if not cancellable(job):
        raise NotCancellable
    with transaction.atomic():
        going_on = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING, cancel_requested=False)
        if going_on.update(cancel_requested=True):
            _note_cancel(user, job, source_ip)
    job.refresh_from_db()  # its worker tells the pages: two who tell could get out of order
    return job


def _note_cancel(user: User, job: Job, source_ip: str) -> None:
    """Who cancelled: a job's end names who asked for the job."""
    audit.record(
        actor=user,
        action="job.cancel",
        phase="event",
        object_kind=job.object_kind,
        object_key=job.object_key,
        object_name=job.object_name,
        host_name=job.host_name,
        result="ok",
        source_ip=source_ip,
        job_id=job.pk,
        detail={"job": job.operation},
    )


def retry(user: User, job: Job, *, source_ip: str = "") -> Job:
    """Submit a finished job's operation once more, with its parameters, on its object as it is now.

    Raises what `submit` raises, and Refused when the job is active, did succeed, or its object is gone.
    """
    if not visible_to(user, job):
        raise Denied("job.view")
    if job.state in (*Job.ACTIVE, Job.State.SUCCEEDED):
        raise Refused(_("Only a job that failed or was cancelled can be tried again."))
    if job.operation not in OPERATIONS:
        raise Refused(_("This version no longer knows the operation."))
    if job.is_parent:
        from dashboard.jobs import many  # it stands on this module

        return many.retry(user, job, source_ip=source_ip)
    # Without its host the same UUID on another one would be found: that is another machine.
    forgotten = job.object_kind != "host" and job.host_id is None
    target = find(job.object_kind, job.object_key, job.host_id) if job.object_kind and not forgotten else None
    if job.object_kind and target is None and OPERATIONS[job.operation].outlives_target and not forgotten:
        return _go_on(user, job, source_ip)
    if job.object_kind and target is None:
        raise Refused(_("What this job was for no longer exists."))
    return submit(
        user=user, operation=job.operation, target=target, params=job.params, source_ip=source_ip, host=job.host
    )
