"""Runs one job from claim to end: steps forward, undo backward, resuming where a former worker stopped."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import InterfaceError, OperationalError, close_old_connections, transaction
from django.utils.translation import gettext_noop, override
from pydantic import ValidationError

from dashboard.accounts import tokens
from dashboard.accounts.access import Rights, can, can_somewhere
from dashboard.jobs import context, doorbell, keeper, lease, news, patience
from dashboard.jobs.context import Context
from dashboard.jobs.errors import Cancelled, Failed, Fenced, HandOver
from dashboard.jobs.lease import Hold, clock
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS, Operation, Step
from dashboard.jobs.targets import find
from dashboard.jobs.wording import english
from dashboard.virt.errors import VirtError

logger = logging.getLogger(__name__)

CRASHES = 3
"""A step at which its worker died this often is not tried again."""
PATIENCE = 60.0
"""Seconds for which a step waits for a host that went away."""

CANCELLED = gettext_noop("Cancelled.")
DENIED = gettext_noop("The person who asked for this may not do it any more.")
POISON = gettext_noop("The worker died %(count)s times at this step, so it is not tried again.")
UNKNOWN = gettext_noop("This version of kvmweb does not know the operation, or not with these parameters.")
BUG = gettext_noop("Something went wrong inside kvmweb. The original message says more.")
CHANGED = gettext_noop(
    "It was changed outside kvmweb in the meantime, so this could not be done. Look at it again, then repeat."
)
AWAY = gettext_noop("The host does not answer; trying again.")
UNDOING = gettext_noop("Taking back: %(step_text)s")
NOT_UNDONE = gettext_noop("%(step_text)s: this could not be taken back. %(reason_text)s")
RESUMED = gettext_noop("Another worker goes on with this job.")


@dataclass(frozen=True)
class Failure:
    """Why a job does not end well."""

    code: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)
    detail: str = ""

    def fields(self) -> dict[str, Any]:
        """As the row keeps it."""
        return {
            "error_code": self.code,
            "error": self.text,
            "error_values": self.values,
            "error_detail": self.detail,
        }


def run(job_id: uuid.UUID, left: threading.Event) -> None:
    """Claim the job, if it is to be had, and bring it to its end. Sets `left` at the latest when it returns."""
    try:
        close_old_connections()
        if context.leaving.is_set() or keeper.works_on(job_id):
            return
        hold = lease.claim(job_id, lease.me(), left)
        if hold is not None:
            with keeper.keeping(hold), override(None):
                _work(hold)
    except (OperationalError, InterfaceError) as error:
        patience.say(f"job {job_id}: the database failed; the job is resumed", error)
    finally:
        close_old_connections()
        left.set()


def _work(hold: Hold) -> None:
    try:
        _perform(hold)
    except Fenced:
        logger.warning("job %s: attempt %s was taken over, nothing more is done here", hold.job.pk, hold.attempt)
    except HandOver:
        hold.release()
        doorbell.ring(str(hold.job.pk), hold.job.queue)
    except (OperationalError, InterfaceError) as error:
        # Nobody's crash: the job is handed over as soon as that can be written, and goes on where it was.
        patience.say(f"job {hold.job.pk}: the database failed in the middle of a step", error)
        hold.release()
        doorbell.ring(str(hold.job.pk), hold.job.queue)


def _perform(hold: Hold) -> None:
    job = hold.job
    declared = OPERATIONS.get(job.operation)
    try:
        params = declared.params.model_validate(job.params) if declared else None
    except ValidationError as error:
        logger.error("job %s: its parameters are not understood: %s", job.pk, error)
        params = None
    if declared is None or params is None:
        state = Job.State.FAILED if hold.attempt == 1 else Job.State.NEEDS_ATTENTION
        hold.finish(state, **Failure("unknown", UNKNOWN).fields())
        return
    ctx = Context(hold, declared, params)
    if hold.attempt > 1:
        hold.log(RESUMED)
    if job.state == Job.State.RUNNING:
        began = hold.attempt > 1
        failure, began = _forward(ctx, hold, declared, began)
        if failure is None:
            hold.finish(Job.State.SUCCEEDED)
            return
        hold.log(failure.text, failure.values, "warning" if failure.code == "cancelled" else "error")
        if not began or not any(step.undo for step in declared.steps[: job.step + 1]):
            hold.finish(_final(failure.code, job), **failure.fields())
            return
        hold.write(state=Job.State.UNDOING, crashes=0, message="", message_values={}, **failure.fields())
        news.tell(job)
    _backward(ctx, hold, declared)
    hold.finish(_final(job.error_code, job))


def _final(code: str, job: Job) -> str:
    """The state in which a job ends that did not succeed."""
    if job.leftovers or code in ("poison", "hung"):
        return Job.State.NEEDS_ATTENTION
    return Job.State.CANCELLED if code == "cancelled" else Job.State.FAILED


def _forward(ctx: Context, hold: Hold, declared: Operation, began: bool) -> tuple[Failure | None, bool]:
    """Run the steps from the recorded one on. Returns why it failed, and whether any step may have begun."""
    job = hold.job
    if job.crashes >= CRASHES:
        return Failure("poison", POISON, {"count": job.crashes}), began
    try:
        hold.patiently(lambda: _still_permitted(job, declared))
        for index in range(job.step, len(declared.steps)):
            ctx.check()
            _begin(hold, index, job.steps[index])
            began = True
            _attempt(ctx, hold, declared, declared.steps[index], declared.steps[index].do)
    except Cancelled:
        return Failure("cancelled", CANCELLED), began
    except VirtError as error:
        return _changed_outside(ctx, error) or _failure_of(error), began
    except Failed as error:
        return _failure_of(error), began
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        logger.exception("job %s: step %s failed in an unforeseen way", job.pk, job.step)
        return _failure_of(error), began
    return None, began


def _backward(ctx: Context, hold: Hold, declared: Operation) -> None:
    """Undo from the recorded step back to the first; what fails is named as left over."""
    job = hold.job
    for index in range(min(job.step, len(declared.steps) - 1), -1, -1):
        undo = declared.steps[index].undo
        if undo is None:
            continue
        ctx.check()
        label = job.steps[index]
        if index == job.step and job.crashes >= CRASHES:
            _name_leftover(hold, label, Failure("poison", POISON, {"count": job.crashes}))
            continue
        _begin(hold, index, UNDOING, step_text=label)
        known = len(job.leftovers)
        try:
            _attempt(ctx, hold, declared, declared.steps[index], undo)
        except (VirtError, Failed) as error:
            if len(job.leftovers) == known:
                _name_leftover(hold, label, _failure_of(error))
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            logger.exception("job %s: undo of step %s failed in an unforeseen way", job.pk, index)
            if len(job.leftovers) == known:
                _name_leftover(hold, label, _failure_of(error))


def _name_leftover(hold: Hold, label: str, failure: Failure) -> None:
    values = {**failure.values, "step_text": label, "reason_text": failure.text, "detail": failure.detail}
    hold.write(leftovers=[*hold.job.leftovers, [NOT_UNDONE, values]])
    hold.log(NOT_UNDONE, values, "error")


def _begin(hold: Hold, index: int, text: str, **values: Any) -> None:
    """Record that a step begins: from here on it may have been done, even half."""
    job = hold.job
    fields: dict[str, Any] = {"step": index, "progress": None, "message": "", "message_values": {}}
    fields["crashes"] = job.crashes if index == job.step else 0

    @transaction.atomic
    def record() -> None:
        hold.write(**fields)
        job.lines.create(text=text, values=values)

    hold.patiently(record)
    news.tell(job)


def _attempt(ctx: Context, hold: Hold, declared: Operation, step: Step, call: Callable[[Context], None]) -> None:
    """Run a step inside its deadline; wait, within bounds, for a host that went away."""
    hold.deadline = clock() + step.deadline
    until = clock() + min(PATIENCE, step.deadline)
    pause = 0.5
    try:
        while True:
            try:
                call(ctx)
            except VirtError as error:
                pause = min(pause * 2, 8.0)
                away = error.code == "unreachable" or ctx.host_away
                if not away or declared.offline or clock() + pause > until:
                    raise
                hold.log(AWAY, level="warning")
                ctx.wait(pause)
            else:
                return
            finally:
                ctx.give_back()
    finally:
        hold.deadline = None


def _still_permitted(job: Job, declared: Operation) -> None:
    """A right that was taken away between the wish and its start counts; so does a token that was revoked meanwhile."""
    person = job.created_by
    if person is None:
        raise Failed(DENIED, code="denied")
    if job.token is not None:
        person.__dict__["_limits"] = tokens.limits(job.token) if tokens.holds(job.token) else Rights()
    target = find(job.object_kind, job.object_key, job.host_id) if job.object_kind else job.host
    if can(person, declared.permission, target or job):
        return
    # A guest that this very job has removed already took its tags along; what is left to do was begun with the right.
    if target is None and job.attempt > 1 and can_somewhere(person, declared.permission):
        return
    raise Failed(DENIED, code="denied")


def _changed_outside(ctx: Context, error: VirtError) -> Failure | None:
    """What fitted when the job was made and does not now was changed by somebody else; the monitor looks again."""
    guest = ctx.plan.get("uuid", "") if ctx.job.object_kind != "guest" else ctx.uuid
    if error.code not in ("not_found", "state") or not guest:
        return None
    ctx.ask("guest", guest)
    return Failure("changed", CHANGED, {}, error.detail)


def _failure_of(error: Exception) -> Failure:
    if isinstance(error, VirtError):
        return Failure(error.code, error.message, {}, error.detail)
    if isinstance(error, Failed):
        return Failure(error.code, english(error.text), error.values, error.detail)
    return Failure("internal", BUG, {}, f"{type(error).__name__}: {error}")
