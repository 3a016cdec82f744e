"""Finds jobs that nobody works on, whatever was lost on the way, and rings for them. Several may run at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import redis
from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import close_old_connections
from django.db.models import Q
from django.db.models.functions import Now

from dashboard.inventory import clocks
from dashboard.inventory.models import Host
from dashboard.jobs import doorbell, family, lease, patience, pruning, quotas
from dashboard.jobs.lease import clock
from dashboard.jobs.models import MANY, Job
from dashboard.virt import pool

logger = logging.getLogger(__name__)

EVERY = 3.0
HOSTS_EVERY = 10
"""How many looks for work go by between two looks for hosts that were removed, owned guests that are gone, old jobs."""
RUNG_LATELY = 3.0
"""Seconds in which a ring that was heard starts a job on an idle worker."""
BATCH = 200
DEAF = 20.0
QUEUES = ("actions", "slow")


@dataclass
class Ear:
    """How this worker hears rings, and what to do when it no longer does.

    Celery's consumer has stopped reading after a broken connection more than once in its history, without a word. A
    worker whose queue has rings in it for `DEAF` seconds while it is idle and hears none ends, to be started anew.
    """

    queues: list[str]
    free: Callable[[str], bool]
    """Whether this worker could start a job of that queue."""
    heard: Callable[[], float]
    """When (on `clock`) it last heard a ring."""
    deaf: Callable[[], None]
    waiting_since: float | None = None

    def listen(self, client: redis.Redis) -> None:
        """Look whether rings lie in a queue unread."""
        unread = any(int(client.llen(queue)) for queue in self.queues if self.free(queue))
        if not unread:
            self.waiting_since = None
            return
        now = clock()
        self.waiting_since = max(self.waiting_since or now, self.heard())
        if now - self.waiting_since > DEAF:
            logger.error("rings are waiting, but Celery brings none: this worker ends, to be started anew")
            self.deaf()


def serve(stop: threading.Event, ear: Ear) -> None:
    """Look at once, then every few seconds, until `stop`."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
    for number in count():
        try:
            look(client, ear.free)
            ear.listen(client)
            clocks.note("worker")
            if number % HOSTS_EVERY == 0:
                forget_hosts()
                quotas.correct()
                pruning.prune()
        except DatabaseFailure as error:
            patience.say("the job table cannot be read; trying again", error)
        except redis.RedisError as error:
            logger.warning("Redis is away, waiting jobs are rung for later: %s", error)
        finally:
            close_old_connections()
        if stop.wait(EVERY):
            return


def look(client: redis.Redis, free: Callable[[str], bool]) -> int:
    """Ring for the jobs that wait unheard, or whose worker is gone; returns how many."""
    bury_the_dead()
    family.settle_all()
    rung = _ring_for_children(client) if free(MANY) else 0
    for queue in QUEUES:
        waiting = Job.objects.filter(lease.claimable(), queue=queue)
        lately = Now() - timedelta(seconds=RUNG_LATELY)
        # A ring in the future comes from a process whose clock is ahead of the database's.
        silent = Q(rung_at__isnull=True) | Q(rung_at__lt=lately) | Q(rung_at__gt=Now() + timedelta(seconds=RUNG_LATELY))
        due = list(waiting.filter(silent).order_by("created_at").values_list("pk", flat=True)[:BATCH])
        if not due or not free(queue):
            continue
        # Rings that still stand in the queue need no second one; a thousand waiting jobs would drown in rings.
        unheard = waiting.count() - int(client.llen(queue))
        for job_id in due[: max(0, unheard)]:
            if not doorbell.ring(str(job_id), queue):
                return rung
            Job.objects.filter(pk=job_id).update(rung_at=Now())
            rung += 1
    return rung


def _ring_for_children(client: redis.Redis) -> int:
    """Ring for children: first for those whose worker is gone, which have their turn already, then for the next ones."""
    if int(client.llen(MANY)):
        return 0
    began = Job.objects.filter(lease.claimable(), queue=MANY).exclude(state=Job.State.QUEUED)
    rung = 0
    for job_id in list(began.order_by("created_at").values_list("pk", flat=True)[:BATCH]):
        if not doorbell.ring(str(job_id), MANY):
            return rung
        rung += 1
    return rung + family.ring()


def forget_hosts() -> None:
    """Close what this worker has open to hosts that are no longer enrolled: a removed host is not signed in to for ever."""
    enrolled = Host.objects.filter(enabled=True).values_list("pk", flat=True)
    pool.pool().keep_only({str(pk) for pk in enrolled})


def bury_the_dead() -> None:
    """End the leases of worker processes of this machine that are gone for certain, without waiting for them to lapse."""
    living = Job.objects.filter(state__in=(Job.State.RUNNING, Job.State.UNDOING), lease_until__gte=Now())
    for holder in set(living.exclude(holder="").values_list("holder", flat=True)):
        if lease.surely_dead(holder):
            lapsed = living.filter(holder=holder).update(lease_until=Now() - timedelta(seconds=1), rung_at=None)
            logger.warning("a worker has died; %s of its jobs are taken over", lapsed)
