"""From the POST that a click sends until libvirt's own event says that the guest runs, beside `virsh start`."""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from collections.abc import Callable

from tests.bench.measure import BenchError, Run, middle, percentile
from tests.bench.report import Figure, aim, figure
from tests.bench.world import World, moment, world

MOST_ADDED_MS = 50


def measure(run: Run) -> list[Figure]:
    """The same guest started in three ways, one after another."""
    place = world(run)
    place.bystanders()
    ways: dict[str, Callable[[World], float]] = {"virsh": by_virsh, "click": by_click, "call": by_call}
    took: dict[str, list[float]] = defaultdict(list)
    for lap in range(run.times(12, 4) + 1):
        for name, start in ways.items():
            place.wait_for_state(place.off.uuid, "shutoff")
            place.settle(0.3)
            began = start(place)
            heard = place.wait_for_event(place.off.uuid, "started", began)
            if not heard:
                raise BenchError(f"{name}: the guest did not start")
            if lap:  # the first one warms up
                took[name].append((heard - began) * 1000)
            place.wait_for_state(place.off.uuid, "running")
            if lap and name == "click":
                took["claimed"].append((claimed(place) - began) * 1000)
            place.actor.tell("destroy", place.off.uuid)
    click, virsh, call = (middle(took[name]) for name in ("click", "virsh", "call"))
    # One lap's starts follow each other at once: their difference is less noisy than that of the medians.
    added = middle([one - other for one, other in zip(took["click"], took["virsh"], strict=True)])
    beside_call = middle([one - other for one, other in zip(took["click"], took["call"], strict=True)])
    count = len(took["click"])
    typed = f"{count} starts; floor: virsh start, with its process and connection"
    held = aim(added <= MOST_ADDED_MS, f"≤{MOST_ADDED_MS} ms")
    warm = f"adds {beside_call:.0f} ms to virDomainCreate on an open connection"
    tail = percentile(took["click"], 0.95), percentile(took["virsh"], 0.95)
    return [
        figure("click to running, p50", click, "ms", floor=virsh, note=typed),
        figure("click to running, p95", tail[0], "ms", floor=tail[1]),
        figure("click to running, added to virsh, p50", added, "ms", note=held),
        figure("click to running beside a bare call, p50", click, "ms", floor=call, note=warm),
        figure(
            "click until a worker has the job, p50",
            middle(took["claimed"]),
            "ms",
            note="nginx, web, database, Redis, Celery",
        ),
    ]


def claimed(place: World) -> float:
    """When a worker took the newest job."""
    return moment(place.ask("SELECT started_at FROM jobs_job ORDER BY created_at DESC LIMIT 1")[0][0])


def by_click(place: World) -> float:
    """What the button's script sends, through nginx."""
    http = place.connect()
    http.connect()  # a page has its connection open
    began = time.time()
    body = {"kind": "guest", "key": place.off.uuid, "host": str(place.host_id), "params": {}}
    status, said = place.request(http, "POST", "/operations/guest.start/", body)
    http.close()
    if status != 202:
        raise BenchError(f"start was refused: {status} {said}")
    return began


def by_virsh(place: World) -> float:
    """virsh start, as typed."""
    began = time.time()
    uri = f"qemu+unix:///system?socket={place.host.socket}"
    subprocess.Popen(["virsh", "-q", "-c", uri, "start", place.off.uuid], stdout=subprocess.DEVNULL).wait(30)
    return began


def by_call(place: World) -> float:
    """virDomainCreate in a process that is connected already."""
    began, _ended = place.actor.tell("create", place.off.uuid)
    return float(began)
