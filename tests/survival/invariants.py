"""What must hold after any fault, I1 to I6: jobs, audit log, quotas and mirror beside what libvirt and QEMU really have.

It reads kvmweb's database itself, past the code that is being judged.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from lxml import etree
from psycopg.rows import dict_row

from tests.lab.database import Database, server
from tests.lab.hosts import LabError, LabHost, wait_for

ROOT = Path(__file__).resolve().parents[2]
ASK_DRIFT = "import json; from dashboard.jobs import quotas; print(json.dumps(quotas.drift()))"
FINAL = ("succeeded", "failed", "cancelled", "needs_attention")
OF_JOB = "{urn:kvmweb:guest:1}job"
SHARED = "/srv/shared/"
"""A path below it is the same file on every host of a lab."""


@dataclass(frozen=True)
class Domain:
    """A domain as virsh has it."""

    host: str
    uuid: str
    name: str
    state: str
    job: str
    disks: tuple[str, ...]
    vcpus: int
    memory_kib: int


class Truth:
    """Hosts, of which the first has a pool of ours, and kvmweb's database beside them."""

    def __init__(self, database: Database, host: LabHost, pool: str, others: tuple[LabHost, ...] = ()) -> None:
        self.host, self.pool, self.others = host, pool, others
        self.database = database
        self.folder = host.dir / "var-lib" / pool

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        return (self.host, *self.others)

    # -- what the database says

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Rows with UUIDs as 32 hexadecimal digits, as SQLite keeps them."""
        if self.database.name:
            with psycopg.connect(server().url(self.database.name), row_factory=dict_row) as connection:
                found: list[dict[str, Any]] = list(connection.execute(query.replace("?", "%s").encode(), values))
        else:
            with closing(_sqlite(self.database)) as connection:
                connection.row_factory = sqlite3.Row
                found = [dict(row) for row in connection.execute(query, values)]
        return [{name: _plain(value) for name, value in row.items()} for row in found]

    def jobs(self, where: str = "true", *values: Any) -> list[dict[str, Any]]:
        """Rows of the job table, JSON as it means."""
        found = self.rows(f"SELECT * FROM jobs_job WHERE {where} ORDER BY created_at", *values)  # noqa: S608 - our own words
        return [row | {name: parsed(row[name]) for name in ("plan", "params", "leftovers", "result")} for row in found]

    def job(self, job_id: str) -> dict[str, Any]:
        """One job's row."""
        return self.jobs("id = ?", self.key(job_id))[0]

    def key(self, job_id: str) -> Any:
        """An id as this database compares it."""
        return uuid.UUID(job_id) if self.database.name else uuid.UUID(job_id).hex

    def watch(self, job_id: str) -> Callable[[], tuple[str, int, Any]]:
        """State and step of a job, quick enough to be asked a thousand times a second."""
        query, key = "SELECT state, step, lease_until FROM jobs_job WHERE id = ?", self.key(job_id)
        connection: Any
        if self.database.name:
            connection = psycopg.connect(server().url(self.database.name), autocommit=True)
        else:
            connection = _sqlite(self.database)

        def look() -> tuple[str, int, Any]:
            row = connection.execute(query.replace("?", "%s") if self.database.name else query, (key,)).fetchone()
            return row[0], row[1], row[2]

        return look

    @contextmanager
    def nobody_writes(self) -> Iterator[None]:
        """Hold what whoever writes a job must have, while the block runs."""
        if self.database.name:
            with psycopg.connect(server().url(self.database.name)) as connection:
                connection.execute("LOCK TABLE jobs_job IN EXCLUSIVE MODE")
                yield
                connection.rollback()
            return
        assert self.database.file is not None
        with closing(sqlite3.connect(self.database.file, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    # -- what the hosts say

    def domains(self, host: LabHost | None = None) -> list[Domain]:
        """All domains of a host; of all hosts if none is named."""
        if host is None:
            return [domain for one in self.hosts for domain in self.domains(one)]
        running = set(host.virsh("list", "--uuid", "--state-running").split())
        paused = set(host.virsh("list", "--uuid", "--state-paused").split())
        found = []
        for key in host.virsh("list", "--all", "--uuid").split():
            try:
                tree = etree.fromstring(host.virsh("dumpxml", key))
            except LabError:  # it has just gone
                continue
            job = tree.find(f"metadata//{OF_JOB}")
            sources = [next(iter(source.attrib.values())) for source in tree.findall("devices/disk/source")]
            found.append(
                Domain(
                    host=host.name,
                    uuid=key,
                    name=tree.findtext("name") or "",
                    state="running" if key in running else "paused" if key in paused else "shutoff",
                    job=(job.text or "") if job is not None else "",
                    disks=tuple(sources),
                    vcpus=int(tree.findtext("vcpu") or 0),
                    memory_kib=int(tree.findtext("memory") or 0),
                )
            )
        return found

    def volumes(self) -> set[str]:
        """The files in the pool's folder: what is on the disk, whatever libvirt knows."""
        return {path.name for path in self.folder.iterdir()}

    def machines(self) -> Counter[str]:
        """QEMU processes of these hosts' guests by UUID."""
        mine = {Path(f"/proc/{host.pid}/ns/pid").readlink() for host in self.hosts}
        found: Counter[str] = Counter()
        for process in psutil.process_iter(["name", "cmdline"]):
            words = process.info["cmdline"] or []
            try:
                if "-uuid" in words and Path(f"/proc/{process.pid}/ns/pid").readlink() in mine:
                    found[words[words.index("-uuid") + 1]] += 1
            except OSError:
                continue
        return found


def _sqlite(database: Database) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{database.file}?mode=ro", uri=True, timeout=10)


def _plain(value: Any) -> Any:
    return value.hex if isinstance(value, uuid.UUID) else value


def parsed(value: Any) -> Any:
    """A JSON column's value: SQLite hands out text."""
    return json.loads(value) if isinstance(value, str) else value


def broken(truth: Truth) -> list[str]:
    """The sentences that do not hold."""
    domains = truth.domains()
    return [
        *_every_job_is_final_or_held(truth),
        *_nothing_without_an_owner(truth, domains),
        *_nothing_runs_twice(truth, domains),
        *_audit_has_both_ends(truth),
        *_quotas_count_what_is_there(truth, domains),
        *_the_mirror_is_true(truth),
    ]


def _every_job_is_final_or_held(truth: Truth) -> Iterable[str]:
    """A parent holds no lease of its own: it waits for its children."""
    now = "now()" if truth.database.name else "strftime('%Y-%m-%d %H:%M:%f', 'now')"
    query = f"""SELECT id, state, step FROM jobs_job AS job
                WHERE state NOT IN ('succeeded', 'failed', 'cancelled', 'needs_attention', 'queued')
                AND (lease_until IS NULL OR lease_until <= {now})
                AND NOT EXISTS (SELECT 1 FROM jobs_job AS child WHERE child.parent_id = job.id)"""  # noqa: S608
    for row in truth.rows(query):
        yield f"I1: job {row['id']} is {row['state']} at step {row['step']} and nobody holds it"


def _nothing_without_an_owner(truth: Truth, domains: list[Domain]) -> Iterable[str]:
    """Volumes in our pool and domains that name a job, beside the jobs that make and delete guests."""
    yield from _nothing_left_over(truth, domains)
    known = {domain.uuid: domain for domain in domains}
    volumes = truth.volumes()
    jobs = truth.jobs("operation = 'guest.create'")
    for row in jobs:
        domain, volume = known.get(row["plan"]["uuid"]), row["plan"].get("volume", "")
        if row["state"] in ("failed", "cancelled"):
            if domain is not None and domain.job and uuid.UUID(domain.job).hex == row["id"]:
                yield f"I2: domain {domain.name} of the {row['state']} job {row['id']} is there"
            if volume in volumes:
                yield f"I2: volume {volume} of the {row['state']} job {row['id']} is there"
        elif row["state"] == "succeeded" and domain is not None:
            if domain.job and uuid.UUID(domain.job).hex != row["id"]:
                yield f"I2: domain {domain.name} says that job {domain.job} made it"
            if volume and row["params"]["disk_pool"] == truth.pool and volume not in volumes:
                yield f"I2: domain {domain.name} has lost its volume {volume}"
    ids = {row["id"] for row in jobs}
    for domain in domains:
        if domain.job and uuid.UUID(domain.job).hex not in ids:
            yield f"I2: domain {domain.name} is of job {domain.job}, which nobody knows"


def _nothing_left_over(truth: Truth, domains: list[Domain]) -> Iterable[str]:
    """A volume is a domain's, or an active job's, or one that a job named as left, or one that its deleter kept."""
    creates = truth.jobs("operation = 'guest.create'")
    made = {row["plan"]["uuid"]: row["plan"].get("volume") for row in creates}
    owned: set[Any] = {Path(disk).name for domain in domains for disk in domain.disks}
    owned |= {row["plan"].get("volume") for row in creates if row["state"] not in FINAL}
    for row in truth.jobs("operation = 'guest.delete'"):
        chosen = {volume["name"] for volume in row["plan"].get("volumes", [])}
        mine = {made.get(row["object_key"])}
        owned |= mine - chosen if row["state"] in FINAL else mine | chosen
    named = " ".join(str(row["leftovers"]) for row in truth.jobs("state = 'needs_attention'"))
    for name in truth.volumes() - owned:
        if name not in named:
            yield f"I2: volume {name} belongs to nobody"


def _nothing_runs_twice(truth: Truth, domains: list[Domain]) -> Iterable[str]:
    machines = truth.machines()
    for key, count in machines.items():
        if count > 1:
            yield f"I3: {count} QEMU processes run the guest {key}"
    disks = Counter(
        disk if disk.startswith(SHARED) else f"{domain.host}:{disk}"
        for domain in domains
        if domain.state != "shutoff"
        for disk in set(domain.disks)
    )
    for disk, count in disks.items():
        if count > 1 and not disk.endswith(".iso"):
            yield f"I3: {count} running guests have the disk {disk}"
    running = Counter(domain.uuid for domain in domains if domain.state != "shutoff")
    for key, count in running.items():
        if count > 1:
            yield f"I3: {count} hosts run the guest {key}"
    for key in set(machines) - set(running):
        yield f"I3: QEMU runs {key}, and libvirt does not know it"


def _audit_has_both_ends(truth: Truth) -> Iterable[str]:
    query = """SELECT job_id, phase, count(*) AS times FROM accounts_auditentry
               WHERE job_id IS NOT NULL AND phase IN ('start', 'end') GROUP BY job_id, phase"""
    found = {(row["job_id"], row["phase"]): row["times"] for row in truth.rows(query)}
    for row in truth.rows("SELECT id, state FROM jobs_job"):
        wanted = {"start": 1, "end": int(row["state"] in FINAL)}
        said = {phase: found.get((row["id"], phase), 0) for phase in wanted}
        if said != wanted:
            yield f"I4: the audit log has {said} of the {row['state']} job {row['id']}"


def _quotas_count_what_is_there(truth: Truth, domains: list[Domain]) -> Iterable[str]:
    """Whoever made a guest has it counted, as it is; what is gone or was never made counts no more."""
    query = """SELECT owned.uuid, owned.vcpus, owned.memory_kib, person.username
               FROM jobs_ownership AS owned JOIN accounts_user AS person ON owned.user_id = person.id"""
    counted = {row["uuid"]: row for row in truth.rows(query)}
    real = {uuid.UUID(domain.uuid).hex: domain for domain in domains}
    creates = truth.jobs("operation = 'guest.create' AND created_by_id IS NOT NULL")
    # One that others removed counts until two comparisons have missed it.
    ours = {uuid.UUID(row["plan"]["uuid"]).hex for row in creates if row["state"] in ("failed", "cancelled")}
    deleted = truth.jobs("operation = 'guest.delete' AND state = 'succeeded'")
    ours |= {uuid.UUID(row["object_key"]).hex for row in deleted}
    for key, row in counted.items():
        if key in ours and key not in real:
            yield f"I5: {row['username']} still has the guest {key} counted, which is not there"
        elif key in real and (row["vcpus"], row["memory_kib"]) != (real[key].vcpus, real[key].memory_kib):
            yield f"I5: {real[key]} is counted as {row}"
    for row in creates:
        key = uuid.UUID(row["plan"]["uuid"]).hex
        if row["state"] == "succeeded" and key in real and key not in counted:
            yield f"I5: nobody has the guest {real[key].name} counted"


def _kvmweb_finds_its_quotas_right(truth: Truth) -> Iterable[str]:
    """What quotas.drift() says in a process of its own, but of guests that two comparisons must miss first.

    Those are the guests that others removed, and those of creates that may have left them (they need attention).
    """
    made = truth.jobs("operation = 'guest.create' AND state IN ('succeeded', 'needs_attention')")
    deleted = {row["object_key"] for row in truth.jobs("operation = 'guest.delete' AND state = 'succeeded'")}
    there = {domain.uuid for domain in truth.domains()}
    to_be_missed = {row["plan"]["uuid"] for row in made} - deleted - there
    for said in _drift(truth.database):
        found = re.search(r"guest (\S+)", said)
        if found is None or found[1] not in to_be_missed:
            yield f"I5: kvmweb says itself: {said}"


def _drift(database: Database) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="kvmweb-drift-", dir="/tmp") as folder:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KVMWEB_")}
        state = database.file.parent if database.file else folder
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "-v", "0", "-c", ASK_DRIFT],
            cwd=ROOT,
            env=clean | database.env | {"KVMWEB_STATE_DIR": str(state)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def _the_mirror_is_true(truth: Truth) -> Iterable[str]:
    for host in truth.hosts:
        query = """SELECT guest.uuid, guest.name, guest.state, host.status FROM inventory_guest AS guest
                   JOIN inventory_host AS host ON guest.host_id = host.id
                   WHERE host.address = ? OR (host.transport = 'local' AND ?)"""
        rows = truth.rows(query, host.address, host is truth.host)
        mirror = {(str(uuid.UUID(row["uuid"])), row["name"], row["state"]) for row in rows}
        real = {(domain.uuid, domain.name, domain.state) for domain in truth.domains(host)}
        for key, name, state in mirror - real:
            yield f"I6: kvmweb shows {name} ({key}) of {host.name} as {state}, which is not so"
        for key, name, state in real - mirror:
            yield f"I6: {name} ({key}) of {host.name} is {state}, and kvmweb does not show it so"
    query = """SELECT volume.name FROM inventory_volume AS volume JOIN inventory_pool AS pool ON volume.pool_id = pool.id
               WHERE pool.name = ?"""
    shown = {row["name"] for row in truth.rows(query, truth.pool)}
    if shown != truth.volumes():
        yield f"I6: kvmweb shows the volumes {shown}, and there are {truth.volumes()}"


def assert_holds(truth: Truth, *, within: float = 20) -> None:
    """All invariants hold, the mirror's within seconds; the sentences that do not if they do not."""
    said: list[str] = []

    def holds() -> bool:
        said[:] = broken(truth) or _kvmweb_finds_its_quotas_right(truth)
        return not said

    try:
        wait_for(holds, seconds=within, every=0.3)
    except LabError:
        raise AssertionError(f"after {within:g} s still not so:\n" + "\n".join(said)) from None
