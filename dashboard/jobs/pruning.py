"""Removes jobs that ended long ago, a few at a time. The audit log keeps what was done; it is never pruned."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.utils import timezone

from dashboard.jobs.models import Job

logger = logging.getLogger(__name__)

BATCH = 200
"""Jobs removed in one transaction: other writers get a turn in between."""


def prune() -> int:
    """Remove up to `BATCH` jobs with their logs that ended before the time they are kept; returns how many.

    Jobs that need attention stay until somebody has looked. A parent goes after its children.
    """
    if settings.KEEP_JOBS_DAYS <= 0:
        return 0
    before = timezone.now() - timedelta(days=settings.KEEP_JOBS_DAYS)
    over = (Job.State.SUCCEEDED, Job.State.FAILED, Job.State.CANCELLED)
    # By the time of the wish, which is indexed: where nothing is that old, this costs nothing.
    old = Job.objects.filter(created_at__lt=before, finished_at__lt=before, state__in=over)
    leaves = old.exclude(Exists(Job.objects.filter(parent=OuterRef("pk"))))
    chosen = list(leaves.order_by("created_at").values_list("pk", flat=True)[:BATCH])
    if chosen:
        Job.objects.filter(pk__in=chosen).delete()
        logger.info("removed %s jobs that ended more than %s days ago", len(chosen), settings.KEEP_JOBS_DAYS)
    return len(chosen)
