"""The threads that run jobs. Celery's own thread waits for one, and is free again when a hung job is given up."""

from __future__ import annotations

import logging
import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor

from dashboard.jobs import runner

logger = logging.getLogger(__name__)

MOST = 256
"""More than Celery's threads, because a hung libvirt call keeps its thread until it returns."""

_threads = ThreadPoolExecutor(max_workers=MOST, thread_name_prefix="job")
_slow = threading.BoundedSemaphore(8)


def reserve(slow: int) -> None:
    """Run at most `slow` slow jobs at once, so that starting and stopping guests never waits behind copies."""
    global _slow
    _slow = threading.BoundedSemaphore(slow)


def free(queue: str) -> bool:
    """Whether a job of that queue could start now."""
    if queue != "slow":
        return True
    if not _slow.acquire(blocking=False):
        return False
    _slow.release()
    return True


def work(job_id: uuid.UUID, queue: str) -> None:
    """Run the job; returns when it has ended here or was given up. A slow one without a place stays queued."""
    slots = _slow if queue == "slow" else None
    if slots is not None and not slots.acquire(blocking=False):
        return
    try:
        left = threading.Event()
        _threads.submit(runner.run, job_id, left).add_done_callback(_report)
        left.wait()
    finally:
        if slots is not None:
            slots.release()


def _report(done: Future[None]) -> None:
    if (error := done.exception()) is not None:
        logger.error("a job ended in an unforeseen way; its lease lapses and it is resumed", exc_info=error)
