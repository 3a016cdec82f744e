"""The figures for Prometheus: hosts, guests, jobs, queues, and how kvmweb itself fares; a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Count, F
from prometheus_client.core import Metric

from dashboard.accounts.access import can, on_hosts_where
from dashboard.accounts.models import User
from dashboard.api.figures_own import Labels, gauge, of_jobs, of_the_installation
from dashboard.inventory import metrics
from dashboard.inventory.models import Guest, Host, Pool

MOST_GUESTS = 2000
"""Guests with series of their own in one answer; `?host=` asks for one host's, so that large fleets ask in parts."""
PER_GUEST = (
    ("cpu_ratio", "CPU used, 0 to 1 of all vCPUs", 1, 1),
    ("memory_used_bytes", "Memory used as the guest tells it", 2, 1024),
    ("memory_bytes", "Memory that the guest has now", 3, 1024),
    ("disk_read_bytes_per_second", "Bytes read from disks", 4, 1),
    ("disk_written_bytes_per_second", "Bytes written to disks", 5, 1),
    ("network_received_bytes_per_second", "Bytes received", 6, 1),
    ("network_sent_bytes_per_second", "Bytes sent", 7, 1),
)
"""Name, words, number in a sample of `inventory.metrics`, factor."""


class Figures:
    """A collector of prometheus_client: what one person may see now, of all hosts or of the one of that name."""

    def __init__(self, user: User, host: str = "") -> None:
        self._user = user
        allowed = Host.objects.filter(on_hosts_where(user, "metrics.view", "pk"))
        wanted = allowed.filter(name=host) if host else allowed
        self._hosts = list(wanted.only("id", "name", "status", "cpus", "memory_kib", "memory_free_kib", "enabled"))
        self.whole = can(user, "metrics.view") and not host
        """Whether what belongs to no host is told, too."""

    def collect(self) -> Iterator[Metric]:
        """All metrics. What needs Redis is left out while it is away; `kvmweb_redis_up` says so."""
        yield from self._of_hosts()
        yield from self._of_guests()
        yield from self._of_pools()
        if self.whole:
            yield from of_jobs()
            yield from of_the_installation()

    def _of_hosts(self) -> Iterator[Metric]:
        up = gauge("host_up", "1: the host is live", ["host"])
        status = gauge("host_status", "1 for the status that the host has", ["host", "status"])
        cpus = gauge("host_cpus", "CPUs", ["host"])
        memory = gauge("host_memory_bytes", "Memory", ["host"])
        free = gauge("host_memory_free_bytes", "Free memory as last seen", ["host"])
        for host in self._hosts:
            up.add_metric([host.name], host.status == Host.Status.LIVE)
            for one in Host.Status.values:
                status.add_metric([host.name, one], host.status == one)
            cpus.add_metric([host.name], host.cpus)
            memory.add_metric([host.name], host.memory_kib * 1024)
            free.add_metric([host.name], host.memory_free_kib * 1024)
        yield from (up, status, cpus, memory, free)

    def _of_guests(self) -> Iterator[Metric]:
        names = {host.pk: host.name for host in self._hosts}
        live = [host.pk for host in self._hosts if host.status == Host.Status.LIVE]
        states = gauge("guests", "Guests by state; unknown while their host is not live", ["host", "state"])
        counts: dict[tuple[str, str], int] = {}
        ours = Guest.objects.filter(host_id__in=list(names)).order_by()
        for pk, state, number in ours.values_list("host_id", "state").annotate(number=Count("pk")):
            key = names[pk], state if pk in live else "unknown"
            counts[key] = counts.get(key, 0) + number
        for (host, state), number in sorted(counts.items()):
            states.add_metric([host, state], number)
        yield states
        running = Guest.objects.filter(host_id__in=live).exclude(state="shutoff").order_by("host_id", "name", "pk")
        found = list(running.values_list("host_id", "uuid", "name", "vcpus"))
        samples = metrics.latest((pk, str(uuid)) for pk, uuid, _name, _vcpus in found)
        rows = [([names[pk], name, str(uuid)], vcpus, samples.get((pk, str(uuid)))) for pk, uuid, name, vcpus in found]
        yield from _sums([(labels[0], vcpus, sample) for labels, vcpus, sample in rows if sample])
        told = [(labels, sample) for labels, _vcpus, sample in rows if sample]
        yield from _series("guest", ["host", "guest", "uuid"], told[:MOST_GUESTS])
        words = f"Guests beyond {MOST_GUESTS} without series of their own: ask with ?host=NAME"
        yield gauge("guests_left_out", words, [], max(0, len(told) - MOST_GUESTS))

    def _of_pools(self) -> Iterator[Metric]:
        labels = ["host", "pool", "uuid"]
        size = gauge("pool_capacity_bytes", "Size of a storage pool", labels)
        used = gauge("pool_allocation_bytes", "What is used of it", labels)
        running = gauge("pool_up", "1: the pool is active", labels)
        for pool in Pool.objects.filter(host__in=self._hosts).annotate(host_named=F("host__name")):
            values = [str(pool.host_named), pool.name, str(pool.uuid)]
            size.add_metric(values, pool.capacity)
            used.add_metric(values, pool.allocation)
            running.add_metric(values, pool.state == "running")
        yield from (size, used, running)


def _series(of: str, labels: Labels, rows: list[tuple[Labels, list[Any]]]) -> Iterator[Metric]:
    for name, words, number, factor in PER_GUEST:
        family = gauge(f"{of}_{name}", words, labels)
        for values, sample in rows:
            if sample[number] is not None:
                family.add_metric(values, sample[number] * factor)
        yield family


def _sums(rows: list[tuple[str, int, list[Any]]]) -> Iterator[Metric]:
    """Per host over all its guests, whatever their number."""
    sums: dict[str, list[float]] = {}
    for host, vcpus, sample in rows:
        have = sums.setdefault(host, [0.0] * len(sample))
        have[1] += sample[1] * vcpus
        for number in range(2, len(sample)):
            have[number] += sample[number] or 0
    busy = ("cpus_used", "CPUs used", 1, 1)
    for name, words, number, factor in (busy, *PER_GUEST[1:]):
        family = gauge(f"host_guests_{name}", f"{words}, by all guests of a host together", ["host"])
        for host, have in sorted(sums.items()):
            family.add_metric([host], have[number] * factor)
        yield family
