"""The figures about kvmweb itself: jobs, queues, the monitor, open pages and consoles."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from dashboard.consoles.seats import open_consoles
from dashboard.inventory import bus
from dashboard.jobs.models import Job
from dashboard.live.hub import open_pages
from kvmweb.worker import QUEUES

log = logging.getLogger(__name__)

Labels = list[str]
HOUR = timedelta(hours=1)


def gauge(name: str, words: str, labels: Labels, value: float | None = None) -> GaugeMetricFamily:
    """A gauge of ours, without values yet if it has labels."""
    return GaugeMetricFamily(f"kvmweb_{name}", words, labels=labels or None, value=value)


def of_jobs() -> Iterator[Metric]:
    """Jobs by operation and state, and how long the oldest waits. Finished ones count for an hour: the table is long."""
    active = gauge("jobs_active", "Jobs that wait, run or are undone", ["operation", "state"])
    lately = gauge("jobs_last_hour", "Jobs submitted in the last hour", ["operation", "state"])
    queued = gauge("jobs_queued", "Jobs that wait", ["queue"])
    oldest = gauge("job_waiting_seconds", "How long the longest waiting job has waited", ["queue"])
    groups = Job.objects.order_by().values_list("operation", "state").annotate(number=Count("pk"))
    for operation, state, number in groups.filter(state__in=Job.ACTIVE):
        active.add_metric([operation, state], number)
    for operation, state, number in groups.filter(created_at__gte=timezone.now() - HOUR):
        lately.add_metric([operation, state], number)
    waiting = Job.objects.filter(state=Job.State.QUEUED).order_by().values_list("queue")
    now = time.time()
    for queue, number, since in waiting.annotate(number=Count("pk"), since=Min("created_at")):
        queued.add_metric([queue], number)
        oldest.add_metric([queue], max(0.0, now - since.timestamp()))
    yield from (active, lately, queued, oldest)


def of_the_installation() -> Iterator[Metric]:
    """The monitor's heartbeat, rings that wait, open pages and consoles. `kvmweb_redis_up` says whether all is told."""
    yield gauge("live_pages", "Open live pages and event streams of this web process", [], open_pages())
    try:
        beat = float(bus.client().get(bus.HEARTBEAT) or 0) / 1000
        rings = [(queue, bus.client().llen(queue)) for queue in QUEUES]
        consoles = open_consoles()
    except bus.BusError as error:
        log.warning("Redis is away, not all figures are told: %s", error)
        yield gauge("redis_up", "1: Redis answers", [], 0)
        return
    yield gauge("redis_up", "1: Redis answers", [], 1)
    age = max(0.0, time.time() - beat) if beat else float("inf")
    yield gauge("monitor_heartbeat_age_seconds", "Since the monitor last showed that it lives", [], age)
    yield gauge("consoles", "Open screens and serial lines", [], consoles)
    lengths = gauge("queue_length", "Rings that no worker has heard yet", ["queue"])
    for queue, length in rings:
        lengths.add_metric([queue], length)
    yield lengths
