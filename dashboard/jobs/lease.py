"""Who works on a job: claims by compare-and-swap, leases on the database's clock, fenced writes, the end of a job.

A worker owns a job from `claim` until the row's `attempt` changes. Every write carries the attempt it was claimed
with; one that finds another number changes nothing and raises Fenced.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Case, CharField, F, PositiveIntegerField, Q, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Now

from dashboard.inventory.database import tidy
from dashboard.jobs import family, news, patience, quotas
from dashboard.jobs.errors import Fenced
from dashboard.jobs.models import PARENT, Job

T = TypeVar("T")

LEASE = 20.0
"""Seconds that a worker may be silent before its jobs are taken over."""
RENEW = 5.0
MARGIN = 2.0
"""A worker stops trusting its own lease this much before it ends."""


def clock() -> float:
    """Seconds that go on while the process is stopped and while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def lease_end() -> Combinable:
    """The end of a lease that begins now, on the database's clock."""
    return Now() + timedelta(seconds=LEASE)


def _start_time(pid: int) -> str:
    """When the process began, in ticks since boot; "" when there is none, or only its unreaped remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    words = stat.rpartition(")")[2].split()
    if words[0] in "ZX" and len(list(Path(f"/proc/{pid}/task").glob("*"))) < 2:
        return ""
    return words[19]


def _this_machine() -> str:
    """Names the running kernel and the PID namespace: only within them do process ids mean the same."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return f"unknown-{uuid.uuid4()}"
    return f"{boot}/{namespace}"


def me() -> str:
    """This process, so that others can tell whether it is dead."""
    pid = os.getpid()
    return f"{_this_machine()}/{pid}/{_start_time(pid)}"


def surely_dead(holder: str) -> bool:
    """Whether the process that wrote `holder` is gone for certain; False wherever one cannot know."""
    machine, _, rest = holder.rpartition("/")
    machine, _, pid = machine.rpartition("/")
    return machine == _this_machine() and pid.isdigit() and _start_time(int(pid)) != rest


class Hold:
    """One attempt at one job in this process."""

    def __init__(self, job: Job, renewed: float, left: threading.Event) -> None:
        self.job = job
        self.attempt = job.attempt
        self.renewed = renewed
        self.lost = False
        self.cancel = job.cancel_requested
        self.deadline: float | None = None
        """When (on `clock`) the present step counts as hung."""
        self.left = left
        """Set when the thread that called for this run need not wait any longer."""

    def patiently(self, work: Callable[[], T]) -> T:
        """Do `work` when the database takes it; the step's time does not run meanwhile."""
        deadline, self.deadline = self.deadline, None

        def waited(seconds: float) -> None:
            nonlocal deadline
            deadline = None if deadline is None else deadline + seconds

        try:
            return patience.patiently(work, waited)
        finally:
            self.deadline = deadline
            tidy()  # a call of libvirt may take minutes, and needs no connection to the database

    def rows(self) -> Any:
        """The job's row as long as it is ours."""
        return Job.objects.filter(pk=self.job.pk, attempt=self.attempt, state__in=Job.ACTIVE)

    def write(self, **fields: Any) -> None:
        """Write to the row and renew the lease, or raise Fenced; waits for a database that is away or full."""
        self.patiently(lambda: self._write(fields))

    def _write(self, fields: dict[str, Any]) -> None:
        asked = clock()
        if self.lost or not self.rows().update(lease_until=lease_end(), **fields):
            self.lost = True
            raise Fenced
        self.renewed = asked
        for name, value in fields.items():
            setattr(self.job, name, value)

    def ensure(self) -> None:
        """Raise Fenced unless the job is still ours; asks the database only when our lease may have lapsed."""
        if self.lost:
            raise Fenced
        if clock() - self.renewed > LEASE - MARGIN:
            self.write()

    def log(self, text: str, values: dict[str, Any] | None = None, level: str = "info") -> None:
        """Append a line to the job's log."""
        self.patiently(lambda: self._log(text, values or {}, level))

    @transaction.atomic
    def _log(self, text: str, values: dict[str, Any], level: str) -> None:
        self.write()
        self.job.lines.create(text=text, values=values, level=level)

    def finish(self, state: str, **fields: Any) -> None:
        """End the job: the final state and the audit entry appear together, once."""
        self.patiently(lambda: self._finish(state, fields))
        self.lost = True
        news.tell(self.job)
        family.ended(self.job)

    @transaction.atomic
    def _finish(self, state: str, fields: dict[str, Any]) -> None:
        self.write(state=state, finished_at=Now(), progress=None, **fields)
        self.job.refresh_from_db(fields=["finished_at"])
        quotas.settle(self.job)
        news.note(self.job, "end", state)

    def release(self) -> None:
        """Hand the job over: whoever rings or looks next may claim it at once."""
        self.patiently(lambda: self.rows().update(holder="", lease_until=None, rung_at=None))
        self.lost = True


def claimable() -> Q:
    """Jobs that wait for a worker, and those whose worker is gone. The parent of many jobs is no worker's."""
    active = Q(state__in=(Job.State.RUNNING, Job.State.UNDOING))
    waiting = Q(state=Job.State.QUEUED) | active & (Q(lease_until__isnull=True) | Q(lease_until__lt=Now()))
    return waiting & ~Q(queue=PARENT)


def claim(job_id: uuid.UUID, holder: str, left: threading.Event) -> Hold | None:
    """Take the job, or None when it is not to be had. Counts a crash when its former worker died holding it."""
    asked = clock()
    with transaction.atomic():
        # The count of those that run and the claim that adds one belong together.
        if family.has_turn(job_id):
            changed = _take(job_id, holder)
        else:
            family.not_now(job_id)
            changed = 0
    if not changed:
        return None
    job = Job.objects.select_related("host", "created_by").get(pk=job_id)
    return Hold(job, asked, left) if job.holder == holder else None


def _take(job_id: uuid.UUID, holder: str) -> int:
    queued, handed_over = When(state=Job.State.QUEUED, then=0), When(holder="", then=F("crashes"))
    return Job.objects.filter(claimable(), pk=job_id).update(
        state=Case(
            When(state=Job.State.QUEUED, then=Value(Job.State.RUNNING.value)),
            default=F("state"),
            output_field=CharField(),
        ),
        crashes=Case(queued, handed_over, default=F("crashes") + 1, output_field=PositiveIntegerField()),
        attempt=F("attempt") + 1,
        holder=holder,
        lease_until=lease_end(),
        started_at=Coalesce("started_at", Now()),
    )
