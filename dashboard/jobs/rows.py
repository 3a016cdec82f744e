"""The JSON shape of a job: for pages, the drawer, live messages and the API alike."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.translation import get_language, ngettext, override

from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS
from dashboard.jobs.wording import english, spoken


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def label_of(job: Job) -> str:
    """The operation's label in the active language; its name when this version no longer knows it."""
    declared = OPERATIONS.get(job.operation)
    return spoken(english(declared.label)) if declared else job.operation


def name_of(job: Job) -> str:
    """What the job is on: for a parent, how many in the active language."""
    if not job.is_parent:
        return job.object_name
    number = job.plan.get("number", 0)
    return ngettext("%(n)s virtual machine", "%(n)s virtual machines", number) % {"n": number}


def cancellable(job: Job) -> bool:
    """Whether a cancel now would be honoured."""
    if job.is_parent:
        return job.state == Job.State.RUNNING and not job.cancel_requested
    if job.state == Job.State.QUEUED:
        return True
    declared = OPERATIONS.get(job.operation)
    return job.state == Job.State.RUNNING and declared is not None and declared.cancellable and not job.cancel_requested


def words(job: Job) -> dict[str, Any]:
    """The parts of a row that are in the active language."""
    return {
        "label": label_of(job),
        "object_name": name_of(job),
        "state_label": str(Job.State(job.state).label),
        "steps": [spoken(step) for step in job.steps],
        "message": spoken(job.message, job.message_values),
        "error": spoken(job.error, job.error_values),
        "leftovers": [spoken(text, values) for text, values in job.leftovers],
        "offer": offer(job),
    }


def offer(job: Job) -> dict[str, str] | None:
    """The operation that a failed job proposes instead (`result.offer`), with what its button says and asks."""
    declared = OPERATIONS.get(job.result.get("offer", ""))
    if declared is None or job.state in Job.ACTIVE:
        return None
    return {
        "operation": declared.name,
        "label": spoken(english(declared.label)),
        "confirm": spoken(english(declared.confirm)) if declared.confirm else "",
    }


def job_row(job: Job) -> dict[str, Any]:
    """One job as JSON, in the active language. Times in epoch milliseconds."""
    declared = OPERATIONS.get(job.operation)
    return {
        "id": str(job.pk),
        "operation": job.operation,
        "object_kind": job.object_kind,
        "object_key": job.object_key,
        "host": job.host_id,
        "host_name": job.host_name,
        "state": str(job.state),
        "active": job.state in Job.ACTIVE,
        "step": job.step,
        "progress": job.progress,
        "error_code": job.error_code,
        "error_detail": job.error_detail,
        "virsh": job.virsh,
        "result": job.result,
        "parent": None if job.parent_id is None else str(job.parent_id),
        "children": job.result.get("children") if job.is_parent else None,
        "cancellable": cancellable(job),
        "cancel_requested": job.cancel_requested,
        "quiet": declared is not None and declared.quiet,
        "created_by": job.created_by_name,
        "created_at": _ms(job.created_at),
        "started_at": _ms(job.started_at),
        "finished_at": _ms(job.finished_at),
        "url": f"/jobs/{job.pk}/",  # not reverse(): it would load every page into the workers
        **words(job),
    }


def job_row_for_all(job: Job) -> dict[str, Any]:
    """A row for the live stream, whose readers speak different languages: `i18n` holds the others' words.

    A page lays `row.i18n[its language]` over the row.
    """
    with override(settings.LANGUAGE_CODE):
        row = job_row(job)
        spoken_here = get_language()
    others: dict[str, dict[str, Any]] = {}
    for code, _name in settings.LANGUAGES:
        if code != spoken_here:
            with override(code):
                others[code] = words(job)
    return {**row, "i18n": others}
