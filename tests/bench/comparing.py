"""In a process of its own: the monitor's Reader on libvirt's test driver. `python -m tests.bench.comparing NODE_FILE LAPS`"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import django

from tests.bench.measure import answer, middle


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """(wall, CPU) seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def middles(laps: list[tuple[float, float]]) -> tuple[float, float]:
    """The medians of both."""
    return middle([wall for wall, _ in laps]), middle([cpu for _, cpu in laps])


def peak() -> float:
    """The most memory that this process has had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def bare(conn: Any) -> int:
    """What has to be asked of libvirt, and nothing done with it."""
    import libvirt

    conn.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
    return sum(len(domain.XMLDesc(0)) for domain in conn.listAllDomains(0))


def main() -> None:
    """Open once, then bare and whole readings in turn."""
    node, laps = sys.argv[1], int(sys.argv[2])
    django.setup()
    from dashboard.inventory.models import Host
    from dashboard.inventory.reader import Reader
    from dashboard.virt.connection import open_connection
    from dashboard.virt.uri import HostSpec

    host = Host.objects.create(name="big", transport="test", status=Host.Status.LIVE)
    connection = open_connection(HostSpec(key="big", transport="test", address=node), deadline=120)
    opened = peak()
    bares, again = [timed(lambda: bare(connection.conn))], []
    reader = Reader(host, connection, lambda: False)
    first = timed(reader.compare)
    reader.go_live()
    for _ in range(laps):
        bares.append(timed(lambda: bare(connection.conn)))
        again.append(timed(reader.compare))
    answer({"bare": middles(bares), "first": first, "again": middles(again), "opened_mb": opened, "peak_mb": peak()})


if __name__ == "__main__":
    main()
