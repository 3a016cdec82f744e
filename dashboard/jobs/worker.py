"""Life of a worker process: starts the keeper and the reconciler, and hands jobs over when it is told to end."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from django.db import Error as DatabaseFailure
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from redis.exceptions import OutOfMemoryError

from dashboard.jobs import context, doorbell, hands, keeper, reconciler
from dashboard.jobs.lease import clock

logger = logging.getLogger(__name__)

GRACE = 3.0
"""Seconds that running steps get to reach a safe place; whoever supervises us kills after five."""
CELERY_GRACE = 1.5


class Rings(kombu_redis.QoS):
    """Which rings this worker has taken. A ring may be lost at any time: the job table is the truth."""

    restore_at_shutdown = False
    """kombu would put unread rings back over a connection that it has closed, and die of that."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a ring in Redis, or where that is out of memory only here; kombu would die of that, too."""
        try:
            super().append(message, delivery_tag)
        except OutOfMemoryError:
            virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Forget a ring; what Redis cannot forget now it rings again in an hour, and nobody finds anything to do."""
        try:
            super().ack(delivery_tag)
        except OutOfMemoryError:
            virtual.QoS.ack(self, delivery_tag)


kombu_redis.Channel.QoS = Rings


@worker_ready.connect
def begin(sender: Any, **kwargs: Any) -> None:
    """Start what runs beside the jobs."""
    threads = int(getattr(sender.controller, "concurrency", 16) or 16)
    queues = set(sender.app.amqp.queues.consume_from)
    hands.reserve(threads=threads, only=next(iter(queues)) if len(queues) == 1 else "")
    stop = context.leaving
    ear = reconciler.Ear(sorted(queues), free=hands.free, heard=hands.heard, deaf=leave)
    threading.Thread(target=keeper.serve, args=(stop,), name="keeper", daemon=True).start()
    threading.Thread(target=reconciler.serve, args=(stop, ear), name="reconciler", daemon=True).start()


@worker_shutdown.connect
@worker_shutting_down.connect
def leave(**kwargs: Any) -> None:
    """Told to end: jobs stop at the next safe place and are handed over."""
    if not context.leaving.is_set():
        context.leaving.set()
        threading.Thread(target=_see_off, name="leaving", daemon=True).start()


def _see_off() -> None:
    """Wait for the jobs, hand over those in the middle of a call, and end the process whatever still hangs in it."""
    until = clock() + GRACE
    pause = threading.Event()
    while keeper.holds() and clock() < until:
        pause.wait(0.05)
    for hold in keeper.holds():
        logger.warning("job %s: handed over in the middle of a step", hold.job.pk)
        try:
            hold.release()
        except DatabaseFailure:
            logger.exception("job %s: not handed over; its lease lapses", hold.job.pk)
        else:
            doorbell.ring(str(hold.job.pk), hold.job.queue)
    if not keeper.holds():
        pause.wait(CELERY_GRACE)
    os._exit(0)
