"""Fifty guests started at once by one bulk operation through the web, beside a shell loop of `virsh start` on the same host.

They are started paused, so that no guest takes CPU time from what is measured: QEMU and libvirt are the same in every way.
"""

from __future__ import annotations

import shlex
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.measure import BenchError, Run, cpu_seconds, middle
from tests.bench.report import Figure, figure
from tests.bench.world import World, moment, world
from tests.lab import guests
from tests.lab.guests import LabGuest
from tests.lab.hosts import wait_for

GUESTS, FEW_GUESTS = 50, 12
AT_ONCE = 4
"""As many as kvmweb works on at once on one host (KVMWEB_BULK_PER_HOST, as it comes)."""
NAME = "bulk-"
PATIENCE = 180.0
PROCESSES = {"worker": "kvmweb.worker", "monitor": "manage.py monitor", "web": "kvmweb.asgi", "Redis": "redis-server"}


@dataclass
class Herd:
    """The guests, and the host that has them."""

    place: World
    guests: list[LabGuest]

    def wait_for(self, state: str) -> None:
        """Until the mirror has all of them in one state and no job works on them."""
        count = "SELECT count(*) FROM inventory_guest WHERE name LIKE ? AND state = ?"
        jobs = "SELECT count(*) FROM jobs_job WHERE state IN ('queued', 'running', 'undoing')"

        def there() -> bool:
            found = int(self.place.ask(count, f"{NAME}%", state)[0][0])
            return found == len(self.guests) and not self.place.ask(jobs)[0][0]

        wait_for(there, seconds=PATIENCE, every=0.1, saying=f"all guests are {state}")

    def heard(self, since: float) -> list[float]:
        """When libvirt's own events told that each had started."""
        told = [self.place.wait_for_event(guest.uuid, "started", since) for guest in self.guests]
        if not all(told):
            raise BenchError(f"{told.count(0.0)} of {len(told)} guests did not start")
        return told

    def end(self) -> None:
        """All off again."""
        for guest in self.guests:
            self.place.actor.tell("destroy", guest.uuid)
        self.wait_for("shutoff")


def measure(run: Run) -> list[Figure]:
    """The same guests in three ways, in turn."""
    place = world(run)
    place.bystanders()
    count = run.times(GUESTS, FEW_GUESTS)
    herd = Herd(place, [guests.define(place.host, f"{NAME}{number:02}") for number in range(count)])
    ways: dict[str, Callable[[Herd], float]] = {"web": by_web, "loop": by_loop, "parallel": by_parallel_loop}
    took: dict[str, list[float]] = defaultdict(list)
    try:
        herd.wait_for("shutoff")
        for _ in range(run.times(3, 1)):
            for word, start in ways.items():
                place.settle(1)
                before = spent(place)
                began = start(herd)
                told = herd.heard(began)
                herd.wait_for("paused")
                for name, seconds in (spent(place) - before).items():
                    took[f"{word}, CPU of {name}"].append(seconds)
                took[word].append(max(told) - began)
                took[f"{word}, first"].append(min(told) - began)
                if word == "web":
                    took["parent"].append(parent_ended(place) - began)
                herd.end()
    finally:
        for guest in herd.guests:
            guest.remove()
    return figures(took, count)


def by_web(herd: Herd) -> float:
    """What the list's bar sends for a selection, through nginx."""
    place = herd.place
    http = place.connect()
    http.connect()  # a page has its connection open
    chosen = [{"host": place.host_id, "uuid": guest.uuid} for guest in herd.guests]
    body = {"guests": chosen, "number": len(chosen), "params": {"paused": True}}
    began = time.time()
    status, said = place.request(http, "POST", "/operations/many/guest.start/", body)
    http.close()
    if status != 202:
        raise BenchError(f"the bulk start was refused: {status} {said}")
    return began


def by_loop(herd: Herd) -> float:
    """for guest in …; do virsh start --paused "$guest"; done"""
    return typed(f'for guest in {names(herd)}; do {virsh(herd)} start --paused "$guest" || exit 1; done')


def by_parallel_loop(herd: Herd) -> float:
    """The same by somebody who knows xargs, as many at once as kvmweb."""
    return typed(f"printf '%s\\n' {names(herd)} | xargs -P {AT_ONCE} -n 1 {virsh(herd)} start --paused")


def names(herd: Herd) -> str:
    """As words of a shell."""
    return shlex.join(guest.name for guest in herd.guests)


def virsh(herd: Herd) -> str:
    """With the host's address, as words of a shell."""
    return f"virsh -q -c {shlex.quote(f'qemu+unix:///system?socket={herd.place.host.socket}')}"


def typed(line: str) -> float:
    """Run a line of shell; when it began."""
    began = time.time()
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise BenchError(done.stderr)
    return began


def spent(place: World) -> Counter[str]:
    """CPU seconds that the processes of kvmweb have used so far, by name."""
    found: Counter[str] = Counter()
    for name, words in PROCESSES.items():
        found[name] += cpu_seconds(place.process(words))  # type: ignore[assignment]
    return found


def parent_ended(place: World) -> float:
    """When the newest job for many had ended, as its row says; parents wait in no queue."""
    found = place.ask("SELECT finished_at FROM jobs_job WHERE queue = '' ORDER BY created_at DESC LIMIT 1")
    return moment(found[0][0])


def figures(took: dict[str, list[float]], count: int) -> list[Figure]:
    """All beside both loops."""
    web, loop, parallel = (middle(took[word]) for word in ("web", "loop", "parallel"))
    own = {name: middle(took[f"web, CPU of {name}"] or [0.0]) for name in PROCESSES}
    watching = middle(took["loop, CPU of monitor"] or [0.0])
    own_note = ", ".join(f"{name} {1000 * seconds / count:.0f}" for name, seconds in own.items())
    laps = f"{len(took['web'])} × {count} guests, by libvirt's own events"
    return [
        figure(f"bulk start of {count} paused guests", web, "s", floor=loop, note=f"{laps}; peer: shell loop of virsh start"),
        figure(f"bulk start of {count} paused guests beside xargs", web, "s", floor=parallel, note=f"peer: xargs -P {AT_ONCE}, as many at once as kvmweb"),
        figure("bulk start until the first guest runs", middle(took["web, first"]), "s", floor=middle(took["loop, first"]), note="parent and all children are written first"),
        figure("bulk start, CPU time of kvmweb for each guest", 1000 * sum(own.values()) / count, "ms", floor=1000 * watching / count, note=f"{own_note} ms; floor: the monitor, which follows the loop as well"),
        figure("bulk start until the parent job has ended", middle(took["parent"]), "s", floor=web, note="floor: the last guest's event"),
    ]  # fmt: skip
