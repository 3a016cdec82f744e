"""Power cuts by the dice: guests are made, started, changed and deleted, anything dies at any moment, and all must be true.

A seed decides what is asked for, what dies and when; `make chaos SEED=17` throws the same dice again.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tests.e2e.stack import ROOT
from tests.lab.hosts import LabError, wait_for
from tests.survival.faults import MARKS, kill_at_once, process_of
from tests.survival.invariants import FINAL, assert_holds
from tests.survival.scene import World, clear

KINDS = ("everything", "stack", "libvirtd", "some", "machine")
"""What dies: our processes and libvirtd, all at once; ours alone; libvirtd; a few of ours one after another; the host."""
FAILURES = ROOT / "var" / "chaos"
ENDS_WITHIN = 90.0

Act = Callable[[], tuple[int, Any]]


class Cut:
    """One throw of the dice."""

    def __init__(self, seed: int, world: World) -> None:
        self.dice = random.Random(seed)
        self.seed, self.world = seed, world
        self.kind = self.dice.choice(KINDS)
        self.prefix = f"cut{seed}-"
        self.wishes: dict[str, Act] = {}
        """What is asked for, by idempotency key."""
        self.jobs: dict[str, str] = {}
        self.refused: set[str] = set()

    def run(self) -> str:
        """Everything happens, then everything must be true; a line that tells how it went."""
        guests = self._old_guests()
        self._wish(guests)
        strike = time.monotonic() + self.dice.uniform(0.05, 1.8)
        self._submit(until=strike)
        time.sleep(max(0.0, strike - time.monotonic()))
        died = time.monotonic()
        self._strike()
        time.sleep(self.dice.uniform(0, 2))
        self._repair()
        self._let_go()
        for key in self.wishes:  # a client that got no answer asks again, with the same key
            self._insist(key)
        self._wait_for_ends(died)
        took = time.monotonic() - died
        assert_holds(self.world.truth, within=40)
        self._judge()
        rows = [self.world.truth.job(job) for job in self.jobs.values()]
        ends = " ".join(f"{row['operation'].partition('.')[2]}:{row['state']}:{row['attempt']}" for row in rows)
        return f"seed {self.seed}: {self.kind}; {ends}; {len(self.refused)} refused; all ended after {took:.1f} s"

    # -- what is asked for

    def _old_guests(self) -> list[str]:
        """Guests that are there before, some of which run; their UUIDs."""
        names = [f"{self.prefix}old{number}" for number in range(self.dice.randint(2, 3))]
        jobs = [self.world.create(name, start_now=self.dice.random() < 0.5) for name in names]
        rows = [self.world.ended(job) for job in jobs]
        for row in rows:
            assert row["state"] == "succeeded", row
            self.world.shows(row["plan"]["uuid"], "running" if row["params"]["start_now"] else "shutoff")
        return [row["plan"]["uuid"] for row in rows]

    def _wish(self, guests: list[str]) -> None:
        for number in range(self.dice.randint(1, 4)):
            name = f"{self.prefix}new{number}"
            params = self.world.wish(
                name,
                disk_format=self.dice.choice(["qcow2", "raw"]),
                start_now=self.dice.random() < 0.7,
            )
            if self.dice.random() < 0.3:  # its disk is not ready before the cut
                self.world.slow.hold(name)
            self._add("guest.create", {"kind": "host", "key": self.world.host_id}, params)
        for uuid in guests:
            for _ in range(self.dice.randint(1, 2)):
                self._change(uuid)
        keys = list(self.wishes)
        self.dice.shuffle(keys)
        self.wishes = {key: self.wishes[key] for key in keys}
        if self.dice.random() < 0.5:
            self._change_many(guests)

    def _change(self, uuid: str) -> None:
        name = next(domain.name for domain in self.world.truth.domains() if domain.uuid == uuid)
        disks = [f"/var/lib/libvirt/{self.world.truth.pool}/{volume}" for volume in sorted(self.world.truth.volumes())]
        mine = [disk for disk in disks if f"/{name}-" in disk]
        operation, params = self.dice.choice(
            [
                ("guest.start", {}),
                ("guest.force_off", {}),
                ("guest.pause", {}),
                ("guest.save", {}),
                ("guest.tags", {"tags": ["struck"]}),
                ("guest.rename", {"name": f"{name}-renamed"}),
                ("guest.delete", {"name": name, "volumes": mine}),
                ("guest.delete", {"name": name, "volumes": []}),
            ]
        )
        self._add(operation, {"kind": "guest", "key": uuid, "host": self.world.host_id}, params)

    def _change_many(self, guests: list[str]) -> None:
        """One wish for all of them: a parent job with a child for each."""
        operation, params = self.dice.choice(
            [("guest.retag", {"add": ["many"]}), ("guest.start", {}), ("guest.force_off", {})]
        )
        refs = [{"host": int(self.world.host_id), "uuid": uuid} for uuid in guests]
        self._add(f"many/{operation}", {"guests": refs}, params)

    def _add(self, operation: str, target: dict[str, Any], params: dict[str, Any]) -> None:
        key = f"{self.prefix}{len(self.wishes)}"
        self.wishes[key] = lambda: self.world.visitor.operate(operation, target, params, key)

    def _submit(self, until: float) -> None:
        for key in self.wishes:
            if time.monotonic() > until:
                return
            with suppress(OSError):
                self._ask(key)
                if key in self.jobs and self.dice.random() < 0.15:
                    time.sleep(self.dice.uniform(0, 0.3))
                    self.world.visitor.ask(f"/jobs/{self.jobs[key]}/cancel/", b"")
            time.sleep(self.dice.uniform(0, 0.15))

    def _ask(self, key: str) -> None:
        """Ask once more. A refusal is an answer, too, unless the wish was taken before: then it is the same job."""
        status, said = self.wishes[key]()
        if status == 202:
            job = str(said["job"]["id"])
            assert self.jobs.setdefault(key, job) == job, f"{key} was asked again and became another job"
        else:
            assert status in (400, 404, 409), (status, said)
            assert key not in self.jobs or status == 404, f"{key} is a job, and asked again it is refused: {said}"
            self.refused.add(key)

    def _insist(self, key: str) -> None:
        def answered() -> bool:
            try:
                self._ask(key)
            except OSError:
                return False
            return True

        wait_for(answered, seconds=40, every=0.5, saying=f"{key} is answered:\n{self.world.stack.said[-4000:]}")

    # -- what dies, and how it comes back

    def _strike(self) -> None:
        host, stack = self.world.host, self.world.stack
        if self.kind == "some":
            for victim in self.dice.sample(sorted(MARKS), self.dice.randint(1, 3)):
                with suppress(LabError):  # it may just be starting again
                    assert stack.process is not None
                    process_of(stack.process.pid, MARKS[victim]).kill()
                time.sleep(self.dice.uniform(0, 1))
            return
        if self.kind in ("everything", "stack", "machine"):
            kill_at_once(stack.state)
        if self.kind in ("everything", "libvirtd"):
            host.kill_libvirtd()
            self._let_go()  # qemu-img runs on without it, and takes less time than libvirtd's start
        if self.kind == "machine":
            host.crash()

    def _repair(self) -> None:
        host, stack = self.world.host, self.world.stack
        if self.kind == "machine":
            host.start()
            self.world.slow.begin()
            stack.env["KVMWEB_LIBVIRT_SOCKET"] = host.socket
        if self.kind in ("everything", "libvirtd"):
            host.start_libvirtd()
        assert stack.process is not None
        if self.kind in ("everything", "stack", "machine"):
            stack.process.wait(timeout=10)
            stack.start()

    def _let_go(self) -> None:
        for path in self.world.slow.folder.glob("*.hold"):
            path.unlink()

    # -- what must be true

    def _wait_for_ends(self, died: float) -> None:
        for key, job in self.jobs.items():
            look = self.world.truth.watch(job)
            left = max(1.0, ENDS_WITHIN - (time.monotonic() - died))
            try:
                wait_for(lambda look=look: look()[0] in FINAL, seconds=left)
            except LabError:
                row = self.world.truth.job(job)
                raise AssertionError(f"{key} has not ended: {row}\n{self.world.stack.said[-4000:]}") from None

    def _judge(self) -> None:
        """What single jobs promise beside the invariants: done is done, and undone leaves nothing."""
        truth = self.world.truth
        domains, machines, volumes = truth.domains(), truth.machines(), truth.volumes()
        known = {domain.uuid: domain for domain in domains}
        for job in self.jobs.values():
            row = truth.job(job)
            assert row["state"] != "needs_attention", f"{row['error']} {row['leftovers']} {row}"
            if row["operation"] == "guest.create":
                domain, done = known.get(row["plan"]["uuid"]), row["state"] == "succeeded"
                assert (domain is not None) == done, row
                assert (row["plan"]["volume"] in volumes) == done, row
                runs = self.kind != "machine" and done and row["params"]["start_now"]
                assert machines[row["plan"]["uuid"]] == int(runs) or self.kind == "machine", row
            elif row["operation"] == "guest.delete":
                assert (row["object_key"] in known) == (row["state"] != "succeeded"), row
                if row["state"] == "succeeded":
                    assert not {volume["name"] for volume in row["plan"]["volumes"]} & volumes, row


def keep(seed: int, world: World) -> Path:
    """Save what a failed throw left: the database, logs, what virsh says; the former failure goes."""
    folder = FAILURES / f"seed-{seed}"
    shutil.rmtree(FAILURES, ignore_errors=True)
    folder.mkdir(parents=True)
    if world.truth.database.file is not None:
        with (
            closing(sqlite3.connect(world.truth.database.file)) as source,
            closing(sqlite3.connect(folder / "kvmweb.sqlite3")) as target,
        ):
            source.backup(target)
    (folder / "jobs.json").write_text(json.dumps(world.truth.jobs(), indent=1, default=str))
    shutil.copytree(world.stack.state / "log", folder / "log", dirs_exist_ok=True)
    (folder / "stack.log").write_text(world.stack.said)
    told = ["list --all", "pool-list --all", f"vol-list {world.truth.pool}"]
    with suppress(LabError, OSError):
        (folder / "virsh.txt").write_text("\n\n".join(world.host.virsh(*line.split()) for line in told))
        for domain in world.truth.domains():
            (folder / f"{domain.name}.xml").write_text(world.host.virsh("dumpxml", domain.uuid))
    return folder


def throw(seed: int, world: World) -> str:
    """One cut on a clean installation; how it went. A failure is kept in var/chaos."""
    try:
        return Cut(seed, world).run()
    except BaseException:
        print(f"kept in {keep(seed, world)}; again: make chaos SEED={seed}")
        raise
    finally:
        if world.stack.process is None or world.stack.process.poll() is not None:
            world.stack.start()
        clear(world.truth, "")
