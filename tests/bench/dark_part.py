"""Pages while one of twenty real hosts is dark (iptables drops every packet to it), beside the same pages with all hosts up."""

from __future__ import annotations

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import libvirt

from tests.bench import fleet
from tests.bench.measure import BenchError, Run, cpu_seconds, middle, say
from tests.bench.report import Figure, aim, figure
from tests.bench.seeding import seed
from tests.bench.visitor import Visitor
from tests.bench.world import ask, process_of
from tests.e2e.stack import Stack
from tests.lab.hosts import Lab, LabHost, wait_for

HOSTS, FEW_HOSTS = 20, 6
PER_LAB = 7
PAUSE = 0.2
"""Seconds between two laps, always: after a rest a page takes longer than in a row of them."""
GUESTS = 10
MOST_RATIO = 1.1
BELOW_MS = 1.0
"""Less than this is no difference: a scheduler's turn, not a page that waits."""

Times = dict[str, list[tuple[float, float]]]
"""Of each page: milliseconds until its last byte, and of the web process's CPU time."""


@dataclass
class Scene:
    """The stack, its hosts, and the pages that are looked at."""

    stack: Stack
    hosts: list[LabHost]
    numbers: dict[str, int]
    visitor: Visitor
    web: int
    """The web process."""
    pages: dict[str, str] = field(default_factory=dict)

    def live(self) -> int:
        """How many hosts answer, as kvmweb has it."""
        return int(ask(self.stack, "SELECT count(*) FROM inventory_host WHERE status = 'live'")[0][0])

    def status(self, host: LabHost) -> str:
        """What kvmweb says of one host."""
        return str(ask(self.stack, "SELECT status FROM inventory_host WHERE id = ?", self.numbers[name(host)])[0][0])

    def lap(self, times: Times) -> None:
        """Every page once, after a rest."""
        time.sleep(PAUSE)
        for word, path in self.pages.items():
            before = cpu_seconds(self.web)
            took = self.visitor.get(path).ms
            times[word].append((took, (cpu_seconds(self.web) - before) * 1000))


def measure(run: Run) -> list[Figure]:
    """Rounds of all up, just gone dark, known to be dark."""
    up: Times = defaultdict(list)
    fresh: Times = defaultdict(list)
    known: Times = defaultdict(list)
    with contextlib.ExitStack() as ending:
        scene = stage(run, ending, run.times(HOSTS, FEW_HOSTS))
        for number in range(run.times(3, 1)):
            host = scene.hosts[1 + number % 2]  # one by SSH, one by TCP
            repeat(scene, up, run.times(20, 15))
            with dark(scene, host):
                until = time.monotonic() + 60
                while scene.status(host) == "live":
                    if time.monotonic() > until:
                        raise BenchError(f"{name(host)} was never called unreachable")
                    scene.lap(fresh)
                repeat(scene, known, run.times(20, 15))
            wait_for(lambda: scene.live() == len(scene.hosts), seconds=90, every=0.2, saying="the dark host is back")
        repeat(scene, up, run.times(20, 15))
        return figures(up, fresh, known, len(scene.hosts))


def stage(run: Run, ending: contextlib.ExitStack, count: int) -> Scene:
    """Hosts with guests, all of them live in a stack of their own."""
    hosts: list[LabHost] = []
    while len(hosts) < count:
        lab = Lab()
        ending.callback(lab.down)
        hosts += lab.up(min(PER_LAB, count - len(hosts)))
    for number, host in enumerate(hosts):
        fill(host, number)
    say(f"        {count} hosts with {GUESTS} guests each")
    stack = Stack(hosts[0].socket)
    ending.callback(stack.stop)
    stack.start()
    session = seed(stack.env, "session")
    wanted = run.folder / "dark-hosts.json"
    wanted.write_text(json.dumps([entry(number, host) for number, host in enumerate(hosts) if number]))
    numbers = seed(stack.env, "hosts", str(wanted))
    scene = Scene(stack, hosts, numbers, Visitor(stack.url, {"kvmweb": session}), process_of(stack, "kvmweb.asgi"))
    ending.callback(scene.visitor.close)
    wait_for(lambda: scene.live() == count, seconds=120, every=0.2, saying=f"{count} hosts are live")
    wait_for(lambda: count_guests(stack) == count * GUESTS, seconds=60, every=0.2, saying="all guests are known")
    scene.pages = {
        "start": "/",
        "guest list": "/guests/",
        "host list": "/hosts/",
        "a guest on another host": f"/guests/{fleet.identity(0)}/",
        "a guest on the first dark host": f"/guests/{fleet.identity(GUESTS)}/",
        "API, guests": "/api/v1/guests",
    }
    for _ in range(3):
        scene.lap(defaultdict(list))
    return scene


def count_guests(stack: Stack) -> int:
    """All guests in the mirror."""
    return int(ask(stack, "SELECT count(*) FROM inventory_guest")[0][0])


def name(host: LabHost) -> str:
    """A host's name in kvmweb: several labs have an h1."""
    return f"{host.lab.prefix}-{host.name}"


def entry(number: int, host: LabHost) -> dict[str, object]:
    """What a person enters for it: SSH and TCP in turn."""
    if number % 2:
        keys = Path(host.known_hosts).read_text(encoding="utf-8").splitlines()
        return {
            "name": name(host), "transport": "ssh", "address": host.address, "user": "root",
            "private_key": host.ssh_key.read_text(encoding="utf-8"),
            "host_keys": [line for line in keys if line.startswith(f"{host.address},")],
        }  # fmt: skip
    return {
        "name": name(host), "transport": "tcp", "address": host.address, "user": "admin", "password": "labpass",
    }  # fmt: skip


def fill(host: LabHost, number: int) -> None:
    """Guests that are off, with 6 KB of XML each."""
    conn = libvirt.open(f"qemu+unix:///system?socket={host.socket}")
    try:
        for which in range(GUESTS):
            conn.defineXML(fleet.xml(number * GUESTS + which, "qemu"))
    finally:
        conn.close()


@contextlib.contextmanager
def dark(scene: Scene, host: LabHost) -> Iterator[None]:
    """Every packet to the host vanishes; nobody is told."""
    say(f"        {name(host)} is dark")
    rule = ("INPUT", "-i", "eth0", "-j", "DROP")
    host.exec("iptables", "-I", *rule)
    try:
        yield
    finally:
        host.exec("iptables", "-D", *rule)


def repeat(scene: Scene, times: Times, laps: int) -> None:
    """Every page in turn, some times over."""
    for _ in range(laps):
        scene.lap(times)


def figures(up: Times, fresh: Times, known: Times, hosts: int) -> list[Figure]:
    """One row a page: both kinds of darkness together, beside all up."""
    rows = []
    for word in up:
        both, all_up = walls(fresh[word] + known[word]), walls(up[word])
        value, floor = middle(both), middle(all_up)
        held = aim(value <= MOST_RATIO * floor or value - floor < BELOW_MS, f"≤{MOST_RATIO} ×")
        parts = f"just gone {middle(walls(fresh[word])):.1f} ms ({len(fresh[word])}), then {middle(walls(known[word])):.1f} ms ({len(known[word])})"
        spent = f"CPU {middle(cpus(fresh[word] + known[word])):.1f} beside {middle(cpus(up[word])):.1f} ms"
        worst = f"slowest {max(both):.0f} ms, with all up {max(all_up):.0f} ms"
        rows.append(
            figure(
                f"page with one of {hosts} hosts dark: {word}",
                value,
                "ms",
                floor=floor,
                note=f"{held}; {spent}; {parts}; {worst}",
            )
        )
    return rows


def walls(times: list[tuple[float, float]]) -> list[float]:
    """Until the last byte."""
    return [wall for wall, _cpu in times]


def cpus(times: list[tuple[float, float]]) -> list[float]:
    """Of the web process."""
    return [cpu for _wall, cpu in times]
