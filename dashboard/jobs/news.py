"""Tells every open page and the audit log how a job stands."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from redis.exceptions import RedisError

from dashboard.accounts import audit
from dashboard.accounts.models import AuditEntry
from dashboard.inventory.publish import FLOOD, publish_many
from dashboard.jobs.models import Job
from dashboard.jobs.rows import job_row_for_all

logger = logging.getLogger(__name__)


def tell(job: Job) -> None:
    """Publish the job's row. Without Redis nobody hears it, and pages fetch anew when it is back."""
    _publish([job])


def tell_all(jobs: Sequence[Job]) -> None:
    """Publish the rows of many jobs; of more than pages can patch nobody is told but that they shall look again."""
    if len(jobs) > FLOOD:
        _say([{"k": "resync"}])
    else:
        _publish(jobs)


def _publish(jobs: Sequence[Job]) -> None:
    _say(
        [
            {
                "k": "job",
                "host": job.host_id,
                "uuid": job.object_key,
                "user": job.created_by_id,
                **({"token": str(job.token_id)} if job.token_id else {}),
                "row": job_row_for_all(job),
            }
            for job in jobs
        ]
    )


def _say(messages: list[dict[str, Any]]) -> None:
    try:
        publish_many(messages)
    except (RedisError, OSError) as error:
        logger.warning("pages were not told of %s: %s", [message.get("uuid") for message in messages[:5]], error)


def note(job: Job, phase: str, result: str = "") -> None:
    """Append the job's "start" or "end" to the audit log."""
    _entry(job, phase, result).save()


def note_all(jobs: Iterable[Job], phase: str) -> None:
    """The same for many jobs; the end of each with the state that it is in."""
    audit.record_all(_entry(job, phase, str(job.state) if phase == "end" else "") for job in jobs)


def _entry(job: Job, phase: str, result: str) -> AuditEntry:
    return audit.entry(
        actor=job.created_by,
        action=job.operation,
        phase=phase,
        object_kind=job.object_kind,
        object_key=job.object_key,
        object_name=job.object_name,
        host_name=job.host_name,
        result=result,
        source_ip=job.source_ip,
        job_id=job.pk,
        detail={"error": job.error_code} if job.error_code else {},
    )
