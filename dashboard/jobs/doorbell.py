"""Rings Celery for a job: a hint that may get lost, never the truth; the reconciler rings again."""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from typing import Any

from kombu.exceptions import KombuError
from kombu.pools import producers
from redis.exceptions import RedisError

from kvmweb.celery import app

logger = logging.getLogger(__name__)

TASK = "dashboard.jobs.tasks.run"
TIMEOUT = 2.0
QUIET = 3.0
"""Seconds after a failed ring in which nobody tries again: a dead Redis slows one request, not each."""

_failed_at = -QUIET


@lru_cache(maxsize=1)
def _connection() -> Any:
    options = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "retry_on_timeout": False}
    return app.connection_for_write(connect_timeout=TIMEOUT, transport_options=options)


def ring(job_id: str, queue: str) -> bool:
    """Tell a worker to look at the job; False when Redis could not be told, which harms nothing."""
    global _failed_at
    if time.monotonic() - _failed_at < QUIET:
        return False
    try:
        with producers[_connection()].acquire(block=True, timeout=TIMEOUT) as producer:
            app.send_task(TASK, args=[job_id], queue=queue, retry=False, ignore_result=True, producer=producer)
    except (KombuError, RedisError, OSError) as error:
        _failed_at = time.monotonic()
        logger.warning("job %s: the doorbell did not ring: %s", job_id, error)
        return False
    return True
