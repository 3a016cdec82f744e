"""The threads that run jobs. Celery's own thread waits for one, and is free again when a hung job is given up."""

from __future__ import annotations

import logging
import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor

from dashboard.jobs import runner
from dashboard.jobs.lease import clock

logger = logging.getLogger(__name__)

MOST = 256
"""More than Celery's threads, because a hung libvirt call keeps its thread until it returns."""

_threads = ThreadPoolExecutor(max_workers=MOST, thread_name_prefix="job")


class _Places:
    """How many jobs may run here at once, and how many of them slow ones."""

    def __init__(self, all_: int, slow: int) -> None:
        self.most = {"": all_, "slow": slow}
        self.taken = {"": 0, "slow": 0}
        self.guard = threading.Lock()
        self.heard = clock()


_places = _Places(16, 8)


def reserve(*, threads: int, slow: int) -> None:
    """This worker has that many threads, and lets at most `slow` slow jobs run: the others stay free for quick ones."""
    _places.most = {"": threads, "slow": slow}


def heard() -> float:
    """When (on `clock`) Celery last brought a ring."""
    return _places.heard


def free(queue: str) -> bool:
    """Whether a job of that queue could start now."""
    with _places.guard:
        return all(_places.taken[kind] < _places.most[kind] for kind in ("", queue) if kind in _places.most)


def work(job_id: uuid.UUID, queue: str) -> None:
    """Run the job; returns when it has ended here or was given up. A slow one without a place stays queued."""
    kinds = [kind for kind in ("", queue) if kind in _places.most]
    with _places.guard:
        _places.heard = clock()
        if queue == "slow" and _places.taken["slow"] >= _places.most["slow"]:
            return
        for kind in kinds:
            _places.taken[kind] += 1
    try:
        left = threading.Event()
        _threads.submit(runner.run, job_id, left).add_done_callback(_report)
        left.wait()
    finally:
        with _places.guard:
            for kind in kinds:
                _places.taken[kind] -= 1


def _report(done: Future[None]) -> None:
    if (error := done.exception()) is not None:
        logger.error("a job ended in an unforeseen way; its lease lapses and it is resumed", exc_info=error)
