"""The threads that run jobs. Celery's own thread waits for one, and is free again when a hung job is given up."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import DatabaseError, close_old_connections

from dashboard.jobs import family, runner
from dashboard.jobs.lease import clock
from dashboard.jobs.models import MANY

logger = logging.getLogger(__name__)

MOST = 256
"""More than Celery's threads, because a hung libvirt call keeps its thread until it returns."""

_threads = ThreadPoolExecutor(max_workers=MOST, thread_name_prefix="job")


BACKGROUND = ("slow", MANY)
"""Queues whose jobs leave hands free for what somebody waits for at a button."""


class _Places:
    """How many jobs may run here at once, and how many of them in the background, of each kind and together."""

    def __init__(self) -> None:
        self.most: Counter[str] = Counter({"": 16, "slow": 8, MANY: 8, "background": 12})
        self.taken: Counter[str] = Counter()
        self.guard = threading.Lock()
        self.heard = clock()

    def left(self, queue: str) -> int:
        """How many jobs of that queue could start now."""
        return min(self.most[kind] - self.taken[kind] for kind in _kinds(queue))


_places = _Places()


def _kinds(queue: str) -> list[str]:
    """What a job of that queue takes a place of each of."""
    return ["", queue, "background"] if queue in BACKGROUND else [""]


def reserve(*, threads: int, only: str = "") -> None:
    """This worker has that many threads. Slow jobs and those on many objects take at most half of them each, and three
    quarters together: the others stay free for quick ones. A worker of `only` one such queue gives it all."""
    if only in BACKGROUND:
        _places.most = Counter({"": threads, only: threads, "background": threads})
        return
    half, most = max(1, threads // 2), max(1, threads - max(1, threads // 4))
    _places.most = Counter({"": threads, "slow": half, MANY: half, "background": most})


def heard() -> float:
    """When (on `clock`) Celery last brought a ring."""
    return _places.heard


def free(queue: str) -> bool:
    """Whether a job of that queue could start now."""
    with _places.guard:
        return _places.left(queue) > 0


def work(job_id: uuid.UUID, queue: str) -> None:
    """Run the job; returns when it has ended here or was given up. One in the background without a place stays queued."""
    with _places.guard:
        _places.heard = clock()
        place = queue not in BACKGROUND or _places.left(queue) > 0
        if place:
            _places.taken.update(_kinds(queue))
    if not place:
        _children(queue, lambda: family.not_now(job_id))
        return
    try:
        left = threading.Event()
        _threads.submit(runner.run, job_id, left).add_done_callback(_report)
        left.wait()
    finally:
        with _places.guard:
            _places.taken.subtract(_kinds(queue))
            free_now = _places.left(queue)
        # Not before the place is free: the ring may be heard here, at once.
        _children(queue, lambda: family.ring(free_now))


def _children(queue: str, act: Callable[[], object]) -> None:
    """For children of a parent: what keeps the others coming. What fails here the reconciler makes good."""
    if queue != MANY:
        return
    try:
        close_old_connections()
        act()
    except DatabaseError:
        logger.exception("the next of many jobs was not rung for")
    finally:
        close_old_connections()


def _report(done: Future[None]) -> None:
    if (error := done.exception()) is not None:
        logger.error("a job ended in an unforeseen way; its lease lapses and it is resumed", exc_info=error)
