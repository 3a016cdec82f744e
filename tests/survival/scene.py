"""What the tests of survival share: a stack with a pool on its host, somebody signed in, jobs and how they ended."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.stack import ROOT, Stack
from tests.lab.hosts import LabError, LabHost, wait_for
from tests.survival.faults import MARKS, SlowDisks, process_of
from tests.survival.invariants import FINAL, Truth
from tests.survival.visitor import Visitor, make_administrator

PASSWORD = "four quiet words here"
LOCAL = "SELECT id FROM inventory_host WHERE transport = 'local'"
_numbers = itertools.count(1)


@dataclass
class World:
    """An installation on a host."""

    stack: Stack
    host: LabHost
    truth: Truth
    slow: SlowDisks
    visitor: Visitor
    host_id: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    # -- wishes

    def wish(self, name: str, /, **more: Any) -> dict[str, Any]:
        """The parameters of a small guest with a disk in our pool."""
        small = {"name": name, "source": "none", "vcpus": 1, "memory_mib": 16, "disk_gib": 1, "virt": "qemu"}
        return {**small, "disk_pool": self.truth.pool, "disk_format": "qcow2", "start_now": False, **more}

    def create(self, name: str, /, **more: Any) -> str:
        """Ask for a guest; the job's id. The same name is the same wish."""
        return self.visitor.create(self.wish(name, **more), self.host_id)

    def guest(self, name: str, /, **more: Any) -> str:
        """A guest that kvmweb made and shows; its UUID."""
        row = self.ended(self.create(name, **more))
        assert row["state"] == "succeeded", row
        uuid = str(row["plan"]["uuid"])
        self.shows(uuid, "running" if more.get("start_now") else "shutoff")
        return uuid

    def ask(self, operation: str, uuid: str, key: str = "", /, **params: Any) -> tuple[int, Any]:
        """Ask for an operation on a guest; the answer."""
        return self.visitor.on_guest(operation, uuid, self.host_id, key, **params)

    def begin(self, operation: str, uuid: str, key: str = "", /, **params: Any) -> str:
        """Ask for an operation that must be taken; the job's id."""
        status, said = self.ask(operation, uuid, key, **params)
        assert status == 202, said
        return str(said["job"]["id"])

    # -- what comes of them

    def ended(self, job: str, seconds: float = 90) -> dict[str, Any]:
        """The job's row once it has ended."""
        look = self.truth.watch(job)
        try:
            wait_for(lambda: look()[0] in FINAL, seconds=seconds)
        except LabError:
            raise AssertionError(
                f"after {seconds:g} s not ended: {self.truth.job(job)}\n{self.stack.said[-4000:]}"
            ) from None
        return self.truth.job(job)

    def at(self, job: str, step: int, state: str = "running", seconds: float = 30) -> None:
        """Wait until the job is at a step."""
        look = self.truth.watch(job)
        wait_for(lambda: look()[:2] == (state, step), seconds=seconds, every=0, saying=f"{state} at step {step}")

    def shows(self, uuid: str, state: str | None, seconds: float = 15) -> None:
        """Wait until kvmweb shows the guest in a state; None: until it shows it no more."""
        query, key = "SELECT state FROM inventory_guest WHERE uuid = ?", self.truth.key(uuid)

        def shown() -> bool:
            found = [row["state"] for row in self.truth.rows(query, key)]
            return found == ([state] if state else [])

        wait_for(shown, seconds=seconds, saying=f"kvmweb shows {uuid} as {state}")

    def log_of(self, job: str) -> list[str]:
        """What the job's log says."""
        return [
            row["text"]
            for row in self.truth.rows(
                "SELECT text FROM jobs_jobline WHERE job_id = ? ORDER BY id", self.truth.key(job)
            )
        ]

    # -- processes

    def process(self, victim: str) -> psutil.Process:
        """A process of the Procfile."""
        assert self.stack.process is not None
        return process_of(self.stack.process.pid, MARKS[victim])

    def replaced(self, victim: str, former: int) -> psutil.Process:
        """The process that came after `former`."""

        def found() -> psutil.Process | None:
            try:
                process = self.process(victim)
            except LabError:
                return None
            return process if process.pid != former else None

        process: psutil.Process = wait_for(found, seconds=30, saying=f"{victim} is back")
        return process

    def another_worker(self) -> subprocess.Popen[bytes]:
        """One more worker beside the stack's own; it ends with the test."""
        environ = self.process("worker").environ()
        with (self.stack.state / "worker-2.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "kvmweb.worker"], cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT
            )
        self.workers.append(worker)
        return worker

    def mend(self) -> None:
        """After a test, however it ended: nothing waits, everything runs, and what was made is gone."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers.clear()
        for path in self.slow.folder.glob("*.hold"):
            path.unlink()
        if not self.host.answers():
            self.host.start_libvirtd()
        if self.stack.process is None or self.stack.process.poll() is not None:
            self.stack.start()
        waiting = "SELECT id FROM jobs_job WHERE state IN ('queued', 'running', 'undoing')"
        wait_for(
            lambda: not self.truth.rows(waiting), seconds=120, saying=f"no job is left:\n{self.stack.said[-4000:]}"
        )
        clear(self.truth, "")


@contextmanager
def world(host: LabHost, pool: str, **env: str) -> Iterator[World]:
    """A new installation, its stack running, with an administrator and a pool; gone afterwards."""
    stack = Stack(host.socket)
    stack.env |= env
    try:
        stack.start()
        truth = Truth(stack.database, host, pool)
        wait_for(
            lambda: truth.rows(f"{LOCAL} AND status = 'live'"), seconds=30, saying=f"the host is live:\n{stack.said}"
        )
        visitor = make_administrator(stack, PASSWORD)
        make_pool(truth)
        slow = SlowDisks(host)
        slow.begin()
        made = World(stack, host, truth, slow, visitor, str(truth.rows(LOCAL)[0]["id"]))
        try:
            yield made
        finally:
            for worker in made.workers:
                worker.kill()
                worker.wait()
            slow.end()
            clear(truth, "")
            host.virsh("pool-destroy", pool)
            host.virsh("pool-undefine", pool)
    finally:
        stack.stop()


class CallLog:
    """What libvirt did to guests, in its own words: each lifecycle event once, in order."""

    LINE = re.compile(r"event '(?P<kind>[^']+)' for domain '(?P<name>[^']+)'(?:: (?P<what>.*))?")

    def __init__(self, host: LabHost, folder: Path) -> None:
        self.path = folder / f"events-{next(_numbers)}.log"
        uri = f"qemu+unix:///system?socket={host.socket}"
        with self.path.open("wb") as output:
            self.process = subprocess.Popen(
                ["stdbuf", "-oL", "virsh", "-c", uri, "event", "--all", "--loop"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(os.environ) | {"LC_ALL": "C"},
            )

    def of(self, name: str, kind: str = "lifecycle") -> list[str]:
        """What happened to a guest."""
        found = [self.LINE.search(line) for line in self.path.read_text().splitlines()]
        return [one["what"] or "" for one in found if one and one["kind"] == kind and one["name"] == name]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def calls(host: LabHost, folder: Path) -> Iterator[CallLog]:
    """Listen to a host while the block runs."""
    log = CallLog(host, folder)
    try:
        yield log
    finally:
        log.end()


def judge(truth: Truth, jobs: dict[str, dict[str, Any]], *, still_running: bool = True) -> list[str]:
    """Each create's guest is there once, as planned, or nothing of it is; the names of those that run."""
    domains, volumes, machines = truth.domains(), truth.volumes(), truth.machines()
    running = []
    for row in jobs.values():
        params, plan = row["params"], row["plan"]
        mine = [domain for domain in domains if domain.uuid == plan["uuid"] or domain.name == params["name"]]
        if row["state"] == "succeeded":
            runs = params["start_now"] and still_running
            assert [domain.uuid for domain in mine] == [plan["uuid"]], row
            assert mine[0].state == ("running" if runs else "shutoff") or not still_running, row
            assert machines[plan["uuid"]] == int(mine[0].state == "running"), row
            assert plan["volume"] in volumes, row
            running += [params["name"]] if runs else []
        else:
            assert row["state"] in ("failed", "cancelled"), row
            assert not mine, row
            assert not machines[plan["uuid"]], row
            assert plan["volume"] not in volumes, row
    return running


def clear(truth: Truth, prefix: str) -> None:
    """Remove guests and their disks from outside. libvirt tells of deleted volumes when the pool is looked at anew."""
    for domain in truth.domains(truth.host):
        if domain.name.startswith(prefix):
            if domain.state != "shutoff":
                truth.host.virsh("destroy", domain.uuid)
            # One undefined while it ran ends as it is destroyed.
            if domain.uuid in truth.host.virsh("list", "--all", "--uuid"):
                truth.host.virsh("undefine", domain.uuid, "--nvram", "--managed-save")
            for disk in domain.disks:
                if Path(disk).name in truth.volumes():
                    truth.host.virsh("vol-delete", disk)
    if not prefix:
        for path in truth.folder.iterdir():
            path.unlink()
    truth.host.virsh("pool-refresh", truth.pool)


def make_pool(truth: Truth) -> None:
    """The pool, and kvmweb knows it."""
    truth.folder.mkdir(exist_ok=True)
    truth.host.virsh("pool-define-as", truth.pool, "dir", "--target", f"/var/lib/libvirt/{truth.pool}")
    truth.host.virsh("pool-autostart", truth.pool)
    truth.host.virsh("pool-start", truth.pool)
    known = "SELECT id FROM inventory_pool WHERE name = ? AND state = 'running'"
    wait_for(lambda: truth.rows(known, truth.pool), seconds=20, saying="kvmweb knows the pool")
