"""Any of our processes is killed in the middle of three creates, one at each of its steps, with pages open that watch."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect

from tests.e2e.browser import Person, canvas_picture, likeness, no_navigation, until
from tests.e2e.conftest import _keep_pictures
from tests.e2e.stack import Stack
from tests.lab import guests
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabError, LabHost, continue_process, stop_process, wait_for
from tests.survival.faults import MARKS, SlowDisks, pids_of, process_of
from tests.survival.invariants import FINAL, Truth, assert_holds
from tests.survival.scene import clear, judge, make_pool

POOL = "survival"
STEPS = ("volume", "define", "start")
FAULTS = (
    r"^answer 50[234]",
    r"net::ERR_",
    r"^console: WebSocket connection",
    r"Failed to load resource",
    r"Connection closed \(code: 1006\)",
)
ASK = """async ([host, params, key]) => {
  const { submit } = await import("kvmweb/operations");
  return (await submit("guest.create", { kind: "host", key: host }, params, { key, quiet: true })).id;
}"""
CONSOLES = {"vnc": ("console", ".console-screen"), "serial": ("serial", ".console-serial")}


@dataclass
class Scene:
    """A stack with a pool of its own on its host, a guest that counts seconds, and three pages that watch."""

    stack: Stack
    host: LabHost
    truth: Truth
    slow: SlowDisks
    pages: dict[str, Page]
    same_document: dict[str, Callable[[], bool]]
    sockets: dict[str, list[WebSocket]]
    host_id: str
    watched: LabGuest
    made: list[str] = field(default_factory=list)

    @property
    def guests(self) -> Page:
        return self.pages["list"]

    def process(self, victim: str) -> Any:
        assert self.stack.process is not None
        return process_of(self.stack.process.pid, MARKS[victim])

    def create(self, name: str) -> str:
        """Ask for a guest on the open page; the job's id. The same name asks with the same idempotency key."""
        params = {"name": name, "source": "none", "vcpus": 1, "memory_mib": 16, "disk_gib": 1, "disk_pool": POOL}
        self.made.append(name)
        return str(
            self.guests.evaluate(ASK, [self.host_id, {**params, "virt": "qemu", "network": ""}, f"survives {name}"])
        )

    def clear(self) -> None:
        """Remove what was made, from outside."""
        for name in self.made:
            clear(self.truth, name)
        self.made.clear()


@pytest.fixture(scope="module")
def place(stack: Stack, host: LabHost) -> Iterator[tuple[Truth, SlowDisks]]:
    """A pool of our own, and storage that can be slow."""
    truth, slow = Truth(stack.database, host, POOL), SlowDisks(host)
    make_pool(truth)
    slow.begin()
    try:
        yield truth, slow
    finally:
        slow.end()
        host.virsh("pool-destroy", POOL)
        host.virsh("pool-undefine", POOL)


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest,
    stack: Stack,
    host: LabHost,
    place: tuple[Truth, SlowDisks],
    chromium: Browser,
    administrator: Any,
    idle_image: Path,
) -> Iterator[Scene]:
    """The pages stay open through everything that happens in this file."""
    truth, slow = place
    person = Person(chromium, stack.url, administrator)
    person.allow(*FAULTS)
    failed = request.session.testsfailed
    watched = guests.define(host, "watched", image=idle_image, start=True)
    seen = "SELECT id FROM inventory_guest WHERE name = ? AND state = 'running'"
    wait_for(lambda: truth.rows(seen, watched.name), seconds=20, saying="kvmweb knows the guest")
    sockets: dict[str, list[WebSocket]] = {}
    pages: dict[str, Page] = {}
    tabs = {kind: f"/guests/{watched.uuid}/{tab}/" for kind, (tab, _selector) in CONSOLES.items()}
    for name, path in {"list": "/guests/", **tabs}.items():
        page = person.context.new_page()
        sockets[name] = []
        page.on("websocket", lambda socket, name=name: sockets[name].append(socket))
        pages[name] = person.open(path, page)
    same = {name: no_navigation(page) for name, page in pages.items()}
    host_id = str(truth.rows("SELECT id FROM inventory_host WHERE transport = 'local'")[0]["id"])
    yield Scene(stack, host, truth, slow, pages, same, sockets, host_id, watched)
    if person.unexpected or request.session.testsfailed > failed:
        _keep_pictures("survives", [person])
    person.close()
    watched.remove()
    assert not person.unexpected


@pytest.fixture
def scene(stage: Scene) -> Iterator[Scene]:
    """All is well before; after a test that failed, the next finds everything running again."""
    everything_is_shown(stage, [])
    yield stage
    for path in stage.slow.folder.glob("*.hold"):
        path.unlink()
    if stage.stack.process is None or stage.stack.process.poll() is not None:
        stage.stack.start()
    if not stage.host.answers():
        stage.host.start_libvirtd()
    stage.clear()


def everything_is_shown(scene: Scene, running: list[str]) -> None:
    """No page was reloaded, all are live, the list shows the truth, and both consoles tell of new seconds."""
    for name, page in scene.pages.items():
        assert scene.same_document[name](), f"the page of {name} was reloaded"
        expect(page.locator("#live-indicator")).to_have_attribute("data-status", "live", timeout=45_000)
        expect(page.locator("#stale-banner")).to_be_hidden(timeout=20_000)
    for name in running:
        row = scene.guests.locator("[data-rows] > tr", has_text=name)
        expect(row).to_have_count(1, timeout=15_000)
        expect(row).to_contain_text("Running")
    for kind, (_tab, selector) in CONSOLES.items():
        expect(scene.pages[kind].locator(selector)).to_have_attribute("data-status", "open", timeout=40_000)
    screen, line = scene.pages["vnc"], scene.pages["serial"].locator(".xterm-rows")
    picture, text = canvas_picture(screen), line.inner_text()
    until(lambda: likeness(picture, canvas_picture(screen)) < 1, screen, saying="the screen counts on")
    until(lambda: line.inner_text() != text, screen, saying="the serial line counts on")


def three_creates(scene: Scene, prefix: str) -> dict[str, str]:
    """Three creates, and libvirt stopped while each is in another step; the jobs by step."""
    for attempt in range(1, 6):
        names = {step: f"{prefix}-{step}{attempt}" for step in STEPS}
        jobs, looks = caught(scene, names)
        if all(looks[step]()[:2] == ("running", number) for number, step in enumerate(STEPS)):
            return jobs
        print(f"missed: {[look()[:2] for look in looks.values()]}")
        continue_process(scene.host.libvirtd_pid)
        scene.slow.let_go(names["volume"])
        for look in looks.values():
            wait_for(lambda look=look: look()[0] in FINAL, seconds=60, saying="the job ended")
        scene.clear()
    raise LabError("libvirt could not be stopped while one create was in each step")


def caught(scene: Scene, names: dict[str, str]) -> tuple[dict[str, str], dict[str, Callable[[], tuple[str, int, Any]]]]:
    """All make their disks; one is let go to its start and, while QEMU starts, one to its definition: then libvirt stops."""
    for name in names.values():
        scene.slow.hold(name)
    jobs = {step: scene.create(name) for step, name in names.items()}
    looks = {step: scene.truth.watch(job) for step, job in jobs.items()}
    libvirtd = scene.host.libvirtd_pid
    for name in names.values():
        wait_for(lambda name=name: scene.slow.reached(name), seconds=30, saying=f"{name} is making its disk")
    scene.slow.let_go(names["start"])
    wait_for(lambda: looks["start"]()[1] == 2, seconds=20, every=0, saying="one is being started")
    scene.slow.let_go(names["define"])
    wait_for(lambda: looks["define"]()[1] >= 1, seconds=20, every=0, saying="one is being defined")
    stop_process(libvirtd)
    time.sleep(0.15)
    return jobs, looks


def ended(scene: Scene, jobs: dict[str, str], killed: float) -> dict[str, dict[str, Any]]:
    """All jobs in their final states, in time."""
    rows: dict[str, dict[str, Any]] = {}
    for step, job in jobs.items():
        look = scene.truth.watch(job)
        try:
            wait_for(lambda look=look: look()[0] in FINAL, seconds=max(1, 90 - time.monotonic() + killed))
        except LabError:
            raise AssertionError(f"90 s after: {scene.truth.job(job)}\n{scene.stack.said}") from None
        rows[step] = scene.truth.job(job)
        print(
            f"  {step}: {rows[step]['state']} {rows[step]['error']} after {time.monotonic() - killed:.1f} s, attempt {rows[step]['attempt']}"
        )
    return rows


@pytest.mark.parametrize("victim", [*MARKS, "libvirtd"])
def test_a_create_ends_right_and_pages_recover_when_it_is_killed(scene: Scene, victim: str) -> None:
    jobs = three_creates(scene, victim)
    held = next(name for name in scene.made if name.startswith(f"{victim}-volume"))
    opened = {name: len(found) for name, found in scene.sockets.items()}
    killed = time.monotonic()
    if victim == "libvirtd":
        scene.host.kill_libvirtd()
        scene.slow.let_go(held)
        time.sleep(1)
        scene.host.start_libvirtd()
    else:
        process = scene.process(victim)
        guard = process.ppid()
        process.kill()
        time.sleep(0.3)
        continue_process(scene.host.libvirtd_pid)
        if victim == "worker":  # the next worker comes while libvirt still makes the disk for the first
            wait_for(lambda: scene.truth.job(jobs["volume"])["attempt"] > 1, seconds=30, saying="another worker has it")
            time.sleep(1)
        scene.slow.let_go(held)
        back = wait_for(lambda: replaced(scene, victim, process.pid), seconds=20, saying=f"{victim} is back")
        assert back.ppid() == guard, "the same respawn has started it again"
        print(f"{victim}: killed {process.pid}, {back.pid} runs after {time.monotonic() - killed:.1f} s")
    running = judge(scene.truth, ended(scene, jobs, killed))
    everything_is_shown(scene, running)
    print(f"  every page is live and true after {time.monotonic() - killed:.1f} s")
    lost = {"console": "vnc", "serial": "serial", "web": "list", "nginx": "list"}.get(victim)
    assert lost is None or len(scene.sockets[lost]) > opened[lost], "it had really lost its connection"
    for step, job in jobs.items():
        name = next(name for name in scene.made if name.startswith(f"{victim}-{step}"))
        assert scene.create(name).replace("-", "") == job.replace("-", ""), "asked again, it is the same job"
    assert_holds(scene.truth)
    scene.clear()
    for name in running:
        expect(scene.guests.locator("[data-rows] > tr", has_text=name)).to_have_count(0, timeout=15_000)
    assert_holds(scene.truth)


def replaced(scene: Scene, victim: str, former: int) -> Any:
    try:
        process = scene.process(victim)
    except LabError:
        return None
    return process if process.pid != former else None


def stop_by_ctrl_c(stack: Stack) -> None:
    """The terminal tells everybody in the foreground."""
    assert stack.process is not None
    os.killpg(stack.process.pid, signal.SIGINT)


def stop_by_kill(stack: Stack) -> None:
    """honcho dies without a word to its children."""
    assert stack.process is not None
    stack.process.kill()


@pytest.mark.parametrize("stop", [stop_by_ctrl_c, stop_by_kill])
def test_the_whole_stack_ends_in_a_create_and_the_next_start_goes_on(
    scene: Scene, stop: Callable[[Stack], None]
) -> None:
    name = f"{stop.__name__}-held".replace("_", "-")
    machines = scene.truth.machines()
    scene.slow.hold(name)
    job = scene.create(name)
    wait_for(lambda: scene.slow.reached(name), seconds=30, saying="its disk is being made")
    began = time.monotonic()
    stop(scene.stack)
    assert scene.stack.process is not None
    scene.stack.process.wait(timeout=30)
    wait_for(lambda: not pids_of(scene.stack.state), seconds=20, saying=f"left: {pids_of(scene.stack.state)}")
    print(f"{stop.__name__}: everything ended after {time.monotonic() - began:.1f} s")
    assert scene.truth.machines() == machines, "guests run on"
    assert scene.truth.job(job)["state"] == "running"
    scene.slow.let_go(name)
    began = time.monotonic()
    scene.stack.start()
    running = judge(scene.truth, ended(scene, {"volume": job}, began))
    assert running == [name]
    everything_is_shown(scene, running)
    assert_holds(scene.truth)
