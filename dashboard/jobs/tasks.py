"""The one Celery task: somebody rang for a job."""

from __future__ import annotations

import uuid
from typing import Any

from celery import shared_task

from dashboard.jobs import doorbell, hands, worker

__all__ = ["run", "worker"]


@shared_task(name=doorbell.TASK, bind=True, ignore_result=True)
def run(self: Any, job_id: str) -> None:
    """Work on the job if it is to be had; a ring too many finds nothing to do."""
    hands.work(uuid.UUID(job_id), str((self.request.delivery_info or {}).get("routing_key") or "actions"))
