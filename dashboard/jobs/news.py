"""Tells every open page and the audit log how a job stands."""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from dashboard.accounts import audit
from dashboard.inventory.publish import publish
from dashboard.jobs.models import Job
from dashboard.jobs.rows import job_row_for_all

logger = logging.getLogger(__name__)


def tell(job: Job) -> None:
    """Publish the job's row. Without Redis nobody hears it, and pages fetch anew when it is back."""
    message = {
        "k": "job",
        "host": job.host_id,
        "uuid": job.object_key,
        "user": job.created_by_id,
        "row": job_row_for_all(job),
    }
    try:
        publish(message)
    except (RedisError, OSError) as error:
        logger.warning("job %s: pages were not told: %s", job.pk, error)


def note(job: Job, phase: str, result: str = "") -> None:
    """Append the job's "start" or "end" to the audit log."""
    audit.record(
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
