"""From the POST that a click sends until libvirt's own event says that the guest runs, beside `virsh start`."""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from collections.abc import Callable

from tests.bench.measure import BenchError, Run, middle, percentile
from tests.bench.report import Figure, aim, figure
from tests.bench.world import World, world

MOST_ADDED_MS = 50


def measure(run: Run) -> list[Figure]:
    """The same guest started in three ways, one after another."""
    place = world(run)
    ways: dict[str, Callable[[World], float]] = {"virsh": by_virsh, "click": by_click, "call": by_call}
    took: dict[str, list[float]] = defaultdict(list)
    for lap in range(run.times(15, 5) + 1):
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
            place.actor.tell("destroy", place.off.uuid)
    click, virsh, call = (middle(took[name]) for name in ("click", "virsh", "call"))
    added, count = click - virsh, len(took["click"])
    return [
        figure("click to running, p50", click, "ms", floor=virsh, note=f"{count} starts; floor: virsh start, with its process and connection"),
        figure("click to running, p95", percentile(took["click"], 0.95), "ms", floor=percentile(took["virsh"], 0.95)),
        figure("click to running, added to virsh, p50", added, "ms", note=aim(added <= MOST_ADDED_MS, f"≤{MOST_ADDED_MS} ms")),
        figure("click to running, p50, beside a bare call", click, "ms", floor=call, note=f"adds {click - call:.0f} ms to virDomainCreate on an open connection"),
    ]  # fmt: skip


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
