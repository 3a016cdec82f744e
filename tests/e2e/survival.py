"""What must hold after any fault: the job table, the audit log and the mirror beside what libvirt and QEMU really have.

It reads kvmweb's database itself, past the code that is being judged.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from lxml import etree

from tests.lab.hosts import LabError, LabHost, wait_for

MARKS = {
    "worker": "kvmweb.worker",
    "monitor": "manage.py monitor",
    "web": "kvmweb.asgi:application",
    "redis": "redis-server",
    "nginx": "nginx: master",
    "console": "console_gateway",
    "serial": "consoles.serial:application",
}
"""What tells a process of the Procfile by its command line."""
FINAL = ("succeeded", "failed", "cancelled", "needs_attention")
OF_JOB = "{urn:kvmweb:guest:1}job"


@dataclass(frozen=True)
class Domain:
    """A domain as virsh has it."""

    uuid: str
    name: str
    state: str
    job: str
    disks: tuple[str, ...]


class Truth:
    """One host with one pool of ours, and kvmweb's database beside it."""

    def __init__(self, database: Path, host: LabHost, pool: str) -> None:
        self.host, self.pool = host, pool
        self._database = f"file:{database}?mode=ro"
        self.folder = host.dir / "var-lib" / pool

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """What the database says."""
        with closing(sqlite3.connect(self._database, uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]

    def job(self, job_id: str) -> dict[str, Any]:
        """A job's row, its plan as a dict."""
        row = self.rows("SELECT * FROM jobs_job WHERE id = ?", uuid.UUID(job_id).hex)[0]
        return row | {"plan": json.loads(row["plan"])}

    def watch(self, job_id: str) -> Callable[[], tuple[str, int, float | None]]:
        """State and step of a job, quick enough to be asked a thousand times a second."""
        connection = sqlite3.connect(self._database, uri=True, timeout=10)
        key = uuid.UUID(job_id).hex

        def look() -> tuple[str, int, float | None]:
            row = connection.execute("SELECT state, step, lease_until FROM jobs_job WHERE id = ?", (key,)).fetchone()
            return row[0], row[1], row[2]

        return look

    def domains(self) -> list[Domain]:
        """All domains of the host."""
        running = set(self.host.virsh("list", "--uuid", "--state-running").split())
        paused = set(self.host.virsh("list", "--uuid", "--state-paused").split())
        found = []
        for key in self.host.virsh("list", "--all", "--uuid").split():
            tree = etree.fromstring(self.host.virsh("dumpxml", key))
            job = tree.find(f"metadata//{OF_JOB}")
            sources = [next(iter(source.attrib.values())) for source in tree.findall("devices/disk/source")]
            state = "running" if key in running else "paused" if key in paused else "shutoff"
            name = tree.findtext("name") or ""
            found.append(Domain(key, name, state, (job.text or "") if job is not None else "", tuple(sources)))
        return found

    def volumes(self) -> set[str]:
        """The files in the pool's folder: what is on the disk, whatever libvirt knows."""
        return {path.name for path in self.folder.iterdir()}

    def machines(self) -> Counter[str]:
        """QEMU processes of this host's guests by UUID."""
        mine = Path(f"/proc/{self.host.pid}/ns/pid").readlink()
        found: Counter[str] = Counter()
        for process in psutil.process_iter(["name", "cmdline"]):
            words = process.info["cmdline"] or []
            try:
                if "-uuid" in words and Path(f"/proc/{process.pid}/ns/pid").readlink() == mine:
                    found[words[words.index("-uuid") + 1]] += 1
            except OSError:
                continue
        return found


def broken(truth: Truth) -> list[str]:
    """The sentences that do not hold; I1 to I4 and I6 of the requirements."""
    domains = truth.domains()
    return [
        *_every_job_is_final_or_held(truth),
        *_nothing_without_an_owner(truth, domains),
        *_nothing_runs_twice(truth, domains),
        *_audit_has_both_ends(truth),
        *_the_mirror_is_true(truth, domains),
    ]


def _every_job_is_final_or_held(truth: Truth) -> Iterable[str]:
    query = """SELECT id, state, step FROM jobs_job WHERE state NOT IN ('succeeded', 'failed', 'cancelled', 'needs_attention')
               AND NOT (state = 'queued') AND NOT coalesce(lease_until > strftime('%Y-%m-%d %H:%M:%f', 'now'), 0)"""
    for row in truth.rows(query):
        yield f"I1: job {row['id']} is {row['state']} at step {row['step']} and nobody holds it"


def _nothing_without_an_owner(truth: Truth, domains: list[Domain]) -> Iterable[str]:
    known = {domain.uuid: domain for domain in domains}
    volumes, used = truth.volumes(), {Path(disk).name for domain in domains for disk in domain.disks}
    jobs = truth.rows("SELECT id, state, plan, params FROM jobs_job WHERE operation = 'guest.create'")
    active = {row["id"] for row in jobs if row["state"] not in FINAL}
    planned = {json.loads(row["plan"]).get("volume") for row in jobs if row["id"] in active}
    for name in volumes - used - planned:
        yield f"I2: volume {name} belongs to nobody"
    for row in jobs:
        plan = json.loads(row["plan"])
        domain, volume = known.get(plan["uuid"]), plan.get("volume", "")
        if row["state"] in ("failed", "cancelled"):
            if domain is not None:
                yield f"I2: domain {domain.name} of the {row['state']} job {row['id']} is there"
            if volume in volumes:
                yield f"I2: volume {volume} of the {row['state']} job {row['id']} is there"
        elif row["state"] == "succeeded" and domain is not None:
            if domain.job and uuid.UUID(domain.job).hex != row["id"]:
                yield f"I2: domain {domain.name} says that job {domain.job} made it"
            if volume and json.loads(row["params"])["disk_pool"] == truth.pool and volume not in volumes:
                yield f"I2: domain {domain.name} has lost its volume {volume}"
    ids = {row["id"] for row in jobs}
    for domain in domains:
        if domain.job and uuid.UUID(domain.job).hex not in ids:
            yield f"I2: domain {domain.name} is of job {domain.job}, which nobody knows"


def _nothing_runs_twice(truth: Truth, domains: list[Domain]) -> Iterable[str]:
    for key, count in truth.machines().items():
        if count > 1:
            yield f"I3: {count} QEMU processes run the guest {key}"
    disks = Counter(disk for domain in domains if domain.state != "shutoff" for disk in set(domain.disks))
    for disk, count in disks.items():
        if count > 1 and not disk.endswith(".iso"):
            yield f"I3: {count} running guests have the disk {disk}"
    running = {domain.uuid for domain in domains if domain.state != "shutoff"}
    for key in set(truth.machines()) - running:
        yield f"I3: QEMU runs {key}, and libvirt does not know it"


def _audit_has_both_ends(truth: Truth) -> Iterable[str]:
    query = """SELECT job_id, phase, count(*) AS times FROM accounts_auditentry
               WHERE job_id NOT NULL GROUP BY job_id, phase"""
    found = {(row["job_id"], row["phase"]): row["times"] for row in truth.rows(query)}
    for row in truth.rows("SELECT id, state FROM jobs_job"):
        wanted = {"start": 1, "end": int(row["state"] in FINAL)}
        said = {phase: found.get((row["id"], phase), 0) for phase in wanted}
        if said != wanted:
            yield f"I4: the audit log has {said} of the {row['state']} job {row['id']}"


def _the_mirror_is_true(truth: Truth, domains: list[Domain]) -> Iterable[str]:
    query = """SELECT guest.uuid, guest.name, guest.state FROM inventory_guest AS guest
               JOIN inventory_host AS host ON guest.host_id = host.id WHERE host.transport = 'local'"""
    mirror = {(str(uuid.UUID(row["uuid"])), row["name"], row["state"]) for row in truth.rows(query)}
    real = {(domain.uuid, domain.name, domain.state) for domain in domains}
    for key, name, state in mirror - real:
        yield f"I6: kvmweb shows {name} ({key}) as {state}, which is not so"
    for key, name, state in real - mirror:
        yield f"I6: {name} ({key}) is {state}, and kvmweb does not show it so"
    query = """SELECT volume.name FROM inventory_volume AS volume JOIN inventory_pool AS pool ON volume.pool_id = pool.id
               WHERE pool.name = ?"""
    shown = {row["name"] for row in truth.rows(query, truth.pool)}
    if shown != truth.volumes():
        yield f"I6: kvmweb shows the volumes {shown}, and there are {truth.volumes()}"


def assert_holds(truth: Truth, *, within: float = 20) -> None:
    """All invariants hold, the mirror's within seconds; the sentences that do not if they do not."""
    said: list[str] = []

    def holds() -> bool:
        said[:] = broken(truth)
        return not said

    try:
        wait_for(holds, seconds=within, every=0.3)
    except LabError:
        raise AssertionError(f"after {within:g} s still not so:\n" + "\n".join(said)) from None


class SlowDisks:
    """Makes a lab host's qemu-img wait, as slow storage does: a volume of a held name takes until it is let go."""

    SCRIPT = """#!/bin/sh
for hold in /var/lib/libvirt/slow/*.hold; do
    name=${hold##*/}
    case "$*" in
    *"${name%.hold}-"*)
        : >"$hold.reached"
        while [ -e "$hold" ]; do sleep 0.01; done
        rm -f "$hold.reached"
        ;;
    esac
done
exec /usr/bin/qemu-img "$@"
"""

    def __init__(self, host: LabHost) -> None:
        self.host, self.folder = host, host.dir / "var-lib" / "slow"

    def begin(self) -> None:
        """Put our qemu-img before the real one, inside the host only."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "qemu-img").write_text(self.SCRIPT)
        (self.folder / "qemu-img").chmod(0o755)
        self.host.exec("mount", "--bind", "/var/lib/libvirt/slow", "/usr/local/sbin")

    def end(self) -> None:
        """Let everything go."""
        for path in self.folder.glob("*.hold"):
            path.unlink()
        self.host.exec("umount", "/usr/local/sbin")

    def hold(self, name: str) -> None:
        (self.folder / f"{name}.hold").touch()

    def reached(self, name: str) -> bool:
        """Whether a volume of this name waits now."""
        return (self.folder / f"{name}.hold.reached").exists()

    def let_go(self, name: str) -> None:
        (self.folder / f"{name}.hold").unlink(missing_ok=True)


def process_of(stack: int, mark: str) -> psutil.Process:
    """The process of the Procfile whose command line has `mark`: the leader that deploy/respawn started."""
    for process in psutil.Process(stack).children(recursive=True):
        try:
            words, parent = " ".join(process.cmdline()), process.parent()
            guarded = parent is not None and "deploy/respawn" in " ".join(parent.cmdline()[:2])
        except psutil.NoSuchProcess:
            continue
        if guarded and mark in words and not words.startswith(("setsid", "setpriv", "/bin/sh deploy", "sh deploy")):
            return process
    raise LabError(f"no process of {mark}")


def pids_of(state: Path) -> dict[int, str]:
    """All processes of an installation and their command lines, whoever started them."""
    found = {}
    for process in psutil.process_iter():
        try:
            # nginx writes its titles over its environment: it is known by the logs that it has open.
            ours = process.environ().get("KVMWEB_STATE_DIR") == str(state) or (
                process.name() == "nginx" and any(str(state) in file.path for file in process.open_files())
            )
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def judge(truth: Truth, jobs: dict[str, dict[str, Any]], *, still_running: bool = True) -> list[str]:
    """Each create's guest is there once, as planned, or nothing of it is; the names of those that run."""
    domains, volumes, machines = truth.domains(), truth.volumes(), truth.machines()
    running = []
    for row in jobs.values():
        params, plan = json.loads(row["params"]), row["plan"]
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
    for domain in truth.domains():
        if domain.name.startswith(prefix):
            if domain.state != "shutoff":
                truth.host.virsh("destroy", domain.uuid)
            truth.host.virsh("undefine", domain.uuid, "--nvram")
            for disk in domain.disks:
                truth.host.virsh("vol-delete", disk)
    truth.host.virsh("pool-refresh", truth.pool)


def make_pool(truth: Truth) -> None:
    """The pool, and kvmweb knows it."""
    truth.folder.mkdir()
    truth.host.virsh("pool-define-as", truth.pool, "dir", "--target", f"/var/lib/libvirt/{truth.pool}")
    truth.host.virsh("pool-autostart", truth.pool)
    truth.host.virsh("pool-start", truth.pool)
    known = "SELECT id FROM inventory_pool WHERE name = ? AND state = 'running'"
    wait_for(lambda: truth.rows(known, truth.pool), seconds=20, saying="kvmweb knows the pool")
