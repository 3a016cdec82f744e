"""One monitor with 200 hosts and 10,000 guests: its CPU time, its memory, and how late events reach an open page.

Nearly all hosts are libvirt's test driver; a few are real ones, whose guests another process changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libvirt
from websockets.exceptions import WebSocketException
from websockets.sync.client import unix_connect

from tests.bench import fleet
from tests.bench.list_part import environment, web
from tests.bench.measure import ROOT, BenchError, Helper, Run, cpu_seconds, middle, percentile, pss, say
from tests.bench.report import Figure, aim, figure
from tests.bench.seeding import seed
from tests.bench.world import look
from tests.lab import guests
from tests.lab.hosts import Lab, LabHost, wait_for
from tests.lab.redis import RedisServer

HOSTS, FEW_HOSTS = 200, 30
REAL, FEW_REAL = 4, 2
GUESTS = 50
A_SECOND = 10
"""Changes: one guest in a thousand each second is a lively fleet."""
OF_REAL = 5
"""Each so-manieth of them is one of a real host."""
SHOWN = 50
"""Rows of the list page that is open meanwhile, on as many hosts: their figures are read every 2 s."""
ROUND_SECONDS = 30.0
MOST_CORES, MOST_LAG_MS = 1.0, 1000.0
OPPOSITE = {"suspend": "resume", "resume": "suspend"}
STATES = {"suspend": "paused", "resume": "running"}
EVENTS = {"suspend": "suspended", "resume": "resumed"}

Guest = tuple[int, str]
"""Host and UUID."""


@dataclass(frozen=True)
class Change:
    """What somebody did to a guest, when he began to, and what a bare callback heard of it."""

    guest: Guest
    state: str
    began: float
    heard: float = 0.0


class Page:
    """An open list page: notes when it is told what of which guest."""

    def __init__(self, path: Path, origin: str, headers: dict[str, str], watching: list[str]) -> None:
        self.told: list[tuple[float, Guest, str]] = []
        address = f"{origin.replace('http', 'ws')}/live/"
        self._socket = unix_connect(
            str(path), address, origin=origin, additional_headers={"Cookie": headers["Cookie"]}, max_size=None
        )  # type: ignore[call-arg]
        self._socket.send(json.dumps({"since": "", "watch": watching}))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(WebSocketException, OSError):
            for text in self._socket:
                at, message = time.time(), json.loads(text).get("m", {})
                if message.get("k") == "guest" and message.get("op") == "set":
                    row = message["row"]
                    self.told.append((at, (int(message["host"]), str(message["uuid"])), str(row["state"])))

    def lags(self, changes: list[Change]) -> list[float]:
        """Milliseconds until each change was told; all must be."""
        first: dict[tuple[Guest, str], list[float]] = {}
        for at, guest, state in self.told:
            first.setdefault((guest, state), []).append(at)
        found = []
        for change in changes:
            later = [at for at in first.get((change.guest, change.state), ()) if at >= change.began]
            if not later:
                raise BenchError(f"the page was never told of {change}")
            found.append((min(later) - change.began) * 1000)
        return found

    def close(self) -> None:
        """Leave it."""
        self._socket.close()


@dataclass
class Scene:
    """The fleet, the processes that watch it, and who changes guests."""

    state: Path
    files: list[str]
    monitor: Helper
    bare: Helper
    guests: dict[int, list[str]]
    """Those of the test driver, by host."""
    real: list[tuple[Guest, Helper, Helper]]
    """A running guest of each real host, who changes it, and who hears of it."""
    path: Path = Path()
    headers: dict[str, str] = field(default_factory=dict)
    origin: str = ""
    done: dict[Guest, str] = field(default_factory=dict)
    """The last call at each guest."""

    def next_call(self, guest: Guest) -> str:
        """What is to be done to it now."""
        self.done[guest] = OPPOSITE[self.done.get(guest, "resume")]
        return self.done[guest]

    def change(self, chosen: list[Guest]) -> list[Change]:
        """Change guests of the test driver, one right after another."""
        calls = [self.next_call(guest) for guest in chosen]
        begun = self.monitor.tell(*[[call, *guest] for call, guest in zip(calls, chosen, strict=True)])
        return [Change(guest, STATES[call], at) for guest, call, at in zip(chosen, calls, begun, strict=True)]

    def change_real(self, which: int) -> Change:
        """Change the running guest of a real host, from another process."""
        guest, actor, listener = self.real[which % len(self.real)]
        call = self.next_call(guest)
        began, _ended = actor.tell(call, guest[1])
        return Change(guest, STATES[call], began, float(listener.tell("wait", guest[1], EVENTS[call], began)))


def measure(run: Run) -> list[Figure]:
    """Coming up, nobody looking, a lively minute with a page open, and a change on every host at once."""
    count, real = run.times(HOSTS, FEW_HOSTS), run.times(REAL, FEW_REAL)
    with contextlib.ExitStack() as ending:
        scene, up = stage(run, ending, count, real)
        say("        nobody looks")
        # Rounds of counters and addresses come every 30 s: a minute has two of each.
        time.sleep(run.times(20, 5))
        idle = cores(scene, run.times(60, 30))
        memory = pss(scene.monitor.pid), pss(scene.bare.pid), pss(scene.monitor.pid, "Pss_Anon")
        floor = middle([scene.bare.tell("round") for _ in range(3)]) / ROUND_SECONDS
        shown = [f"{host}/{scene.guests[host][0]}" for host in list(scene.guests)[:SHOWN]]
        page = Page(scene.path, scene.origin, scene.headers, shown)
        ending.callback(page.close)
        time.sleep(5)
        say("        changes everywhere")
        changes: list[Change] = []
        busy = cores(scene, run.times(60, 15), lambda until: changes.extend(lively(scene, until)))
        time.sleep(3)
        bursts = []
        for _ in range(run.times(10, 3)):
            bursts += scene.change([(host, random.choice(uuids)) for host, uuids in scene.guests.items()])
            time.sleep(5)
        rows = [*costs(up, (idle, floor), busy, memory, count), *late(page, changes, bursts, len(scene.guests))]
        if missing := len(look(scene.state, "SELECT id FROM inventory_host WHERE status <> 'live'")):
            raise BenchError(f"{missing} hosts were lost meanwhile")
        return rows


# -- the fleet


def stage(run: Run, ending: contextlib.ExitStack, count: int, real: int) -> tuple[Scene, tuple[float, float]]:
    """Hosts, a web process and a monitor that has them all live; (seconds, CPU seconds) that this took it."""
    base = run.folder / "fleet"
    base.mkdir()
    os.environ["KVMWEB_REDIS_URL"] = f"unix://{base}/redis.sock"
    redis = RedisServer()
    ending.callback(redis.stop)
    redis.start()
    env = environment(base) | {"KVMWEB_LOG_LEVEL": "ERROR", "DJANGO_SETTINGS_MODULE": "kvmweb.settings"}
    subprocess.run([sys.executable, "deploy/prepare.py"], cwd=ROOT, env=env, check=True)
    files, lab_hosts, toggled = make(base, ending, count, real)
    wanted = base / "hosts.json"
    rows = [{"name": f"test{number}", "transport": "test", "address": path} for number, path in enumerate(files)]
    rows += [{"name": host.name, "transport": "local", "address": host.socket} for host in lab_hosts]
    wanted.write_text(json.dumps(rows))
    cookie = f"kvmweb={seed(env, 'session')}"
    seed(env, "rows", str(wanted))
    numbers = dict(look(base, "SELECT address, id FROM inventory_host"))
    say(f"        {count} hosts, {real} of them real, {count * GUESTS:,} guests")
    began = time.monotonic()
    monitor = Helper(run, "fleet_monitor", "monitor", env=env)
    live = "SELECT count(*) FROM inventory_host WHERE status = 'live'"
    wait_for(lambda: look(base, live)[0][0] == count, seconds=300, every=0.1, saying="all hosts are live")
    up = time.monotonic() - began, cpu_seconds(monitor.pid)
    server = web(ending, base, env, count, cookie)
    there = {numbers[path]: identities(number) for number, path in enumerate(files)}
    helpers = [
        ((numbers[host.socket], guest.uuid), Helper(run, "bystander", "act", host.socket), Helper(run, "bystander", "listen", host.socket))
        for host, guest in zip(lab_hosts, toggled, strict=True)
    ]  # fmt: skip
    bare = Helper(run, "fleet_monitor", "bare", *files)
    origin = f"http://{server.headers['Host']}"
    return Scene(base, files, monitor, bare, there, helpers, base / "run" / "web.sock", server.headers, origin), up


def make(
    base: Path, ending: contextlib.ExitStack, count: int, real: int
) -> tuple[list[str], list[LabHost], list[guests.LabGuest]]:
    """Node files of the test driver; real hosts, all of whose guests are off but one."""
    files = []
    for number in range(count - real):
        files.append(str(base / f"node{number}.xml"))
        fleet.node_file(Path(files[-1]), GUESTS, number * GUESTS)
    lab = Lab()
    ending.callback(lab.down)
    hosts = lab.up(real)
    for number, host in enumerate(hosts):
        conn = libvirt.open(f"qemu+unix:///system?socket={host.socket}")
        for which in range(GUESTS - 1):
            conn.defineXML(fleet.xml((count + number) * GUESTS + which, "qemu"))
        conn.close()
    return files, hosts, [guests.define(host, "toggled", image=guests.idle_image(), start=True) for host in hosts]


def identities(number: int) -> list[str]:
    """The guests in a node file."""
    return [fleet.identity(number * GUESTS + which) for which in range(GUESTS)]


# -- what is measured


def cores(scene: Scene, seconds: float, work: Callable[[float], Any] = lambda until: None) -> float:
    """How many cores the monitor used on average, while something was done until then."""
    before, began = cpu_seconds(scene.monitor.pid), time.monotonic()
    work(began + seconds)
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    return (cpu_seconds(scene.monitor.pid) - before) / (time.monotonic() - began)


def lively(scene: Scene, until: float) -> list[Change]:
    """Changes at an even pace, anywhere."""
    some, changes, hosts, number = random.Random(3), [], list(scene.guests), 0
    began = time.monotonic()
    while (at := began + number / A_SECOND) < until:
        time.sleep(max(0.0, at - time.monotonic()))
        if number % OF_REAL:
            host = some.choice(hosts)
            changes += scene.change([(host, some.choice(scene.guests[host]))])
        else:
            changes.append(scene.change_real(number // OF_REAL))
        number += 1
    return changes


def costs(
    up: tuple[float, float], idle: tuple[float, float], busy: float, memory: tuple[float, float, float], count: int
) -> list[Figure]:
    """CPU and memory of the monitor."""
    what = f"monitor, {count} hosts, {count * GUESTS:,} guests"
    rounds = f"floor: a bare round of everybody's counters every {ROUND_SECONDS:.0f} s"
    lively_ = f"{A_SECOND} changes a second, figures of {min(SHOWN, count)} hosts every 2 s"
    return [
        figure(f"{what}: until all are live", up[0], "s", note=f"{up[1]:.1f} s of CPU time"),
        figure(f"{what}: CPU, nobody looks", idle[0], "cores", floor=idle[1], note=f"{aim(idle[0] <= MOST_CORES, f'≤{MOST_CORES:g}')}; {rounds}"),
        figure(f"{what}: CPU, lively", busy, "cores", floor=idle[0], note=f"{aim(busy <= MOST_CORES, f'≤{MOST_CORES:g}')}; {lively_}; floor: nobody looks"),
        figure(f"{what}: memory (PSS)", memory[0], "MB", floor=memory[1], note=f"{memory[2]:.0f} MB of it its own, the rest files; floor: a bare process with the same test-driver connections"),
    ]  # fmt: skip


def late(page: Page, changes: list[Change], bursts: list[Change], hosts: int) -> list[Figure]:
    """From the call's begin until the open page is told."""
    quiet = [change for change in changes if not change.heard]
    real = [change for change in changes if change.heard]
    lags, real_lags, burst_lags = page.lags(quiet), page.lags(real), page.lags(bursts)
    floor = [(change.heard - change.began) * 1000 for change in real]
    p99, burst = percentile(lags, 0.99), percentile(burst_lags, 0.99)
    held = aim(p99 <= MOST_LAG_MS, f"≤{MOST_LAG_MS:g} ms")
    of_all = f"{len(bursts)} changes, {hosts} hosts at a time"
    return [
        figure("event lag, any of all hosts, p50", middle(lags), "ms", note=f"{len(lags)} changes, {A_SECOND} a second with those of real hosts"),
        figure("event lag, any of all hosts, p99", p99, "ms", note=f"{held}; slowest {max(lags):.0f} ms"),
        figure("event lag, real hosts among them, p50", middle(real_lags), "ms", floor=middle(floor), note=f"{len(real)} changes; floor: bare libvirt callback"),
        figure("event lag, real hosts among them, p99", percentile(real_lags, 0.99), "ms", floor=percentile(floor, 0.99), note=aim(percentile(real_lags, 0.99) <= MOST_LAG_MS, f"≤{MOST_LAG_MS:g} ms")),
        figure("event lag, every host at the same moment, p50", middle(burst_lags), "ms", note=of_all),
        figure("event lag, every host at the same moment, p99", burst, "ms", note=f"{aim(burst <= MOST_LAG_MS, f'≤{MOST_LAG_MS:g} ms')}; slowest {max(burst_lags):.0f} ms"),
    ]  # fmt: skip
