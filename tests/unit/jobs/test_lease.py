"""Who may work on a job: claims, fences, crashes counted, processes known to be dead."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from dashboard.accounts.models import AuditEntry
from dashboard.jobs import keeper, lease, reconciler
from dashboard.jobs.errors import Fenced
from dashboard.jobs.lease import Hold
from dashboard.jobs.models import Job

pytestmark = pytest.mark.django_db


def claim(job: Job, holder: str = "a") -> Hold | None:
    return lease.claim(job.pk, holder, threading.Event())


def held(job: Job, holder: str = "a") -> Hold:
    hold = claim(job, holder)
    assert hold is not None
    return hold


def lapse(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(lease_until=Now() - timedelta(seconds=1))


@pytest.fixture
def job() -> Job:
    return Job.objects.create(operation="test.do", steps=["One", "Two"])


def test_a_waiting_job_is_claimed_by_one(job: Job) -> None:
    hold = held(job)
    assert (hold.job.state, hold.attempt, hold.job.crashes) == ("running", 1, 0)
    assert hold.job.started_at is not None
    assert claim(job, "b") is None


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "needs_attention"])
def test_a_finished_job_is_never_claimed(job: Job, state: str) -> None:
    Job.objects.update(state=state, lease_until=None)
    assert claim(job) is None


@pytest.mark.parametrize("state", ["running", "undoing"])
def test_a_lapsed_lease_is_taken_over_in_its_state_and_counts_as_a_crash(job: Job, state: str) -> None:
    held(job)
    Job.objects.update(state=state, step=1)
    lapse(job)
    hold = held(job, "b")
    assert (hold.job.state, hold.job.step, hold.attempt, hold.job.crashes) == (state, 1, 2, 1)


def test_a_job_handed_over_is_claimed_at_once_and_is_no_crash(job: Job) -> None:
    held(job).release()
    hold = held(job, "b")
    assert (hold.attempt, hold.job.crashes) == (2, 0)


def test_a_stale_holder_writes_nothing(job: Job) -> None:
    stale = held(job)
    lapse(job)
    held(job, "b")
    with pytest.raises(Fenced):
        stale.write(message="stale")
    with pytest.raises(Fenced):
        stale.log("stale")
    with pytest.raises(Fenced):
        stale.finish("failed")
    job.refresh_from_db()
    assert (job.message, job.state, job.lines.count()) == ("", "running", 0)
    assert not AuditEntry.objects.exists()


def test_a_holder_that_slept_past_its_lease_asks_before_it_acts(job: Job) -> None:
    stale = held(job)
    stale.ensure()
    lapse(job)
    held(job, "b")
    stale.ensure()  # it believes in its lease as long as that can be true
    stale.renewed -= lease.LEASE
    with pytest.raises(Fenced):
        stale.ensure()


def test_a_job_ends_once(job: Job) -> None:
    hold = held(job)
    hold.finish("succeeded")
    with pytest.raises(Fenced):
        hold.finish("failed")
    job.refresh_from_db()
    assert (job.state, AuditEntry.objects.count()) == ("succeeded", 1)


def test_the_keeper_renews_what_is_ours_and_marks_what_is_lost(job: Job) -> None:
    other = Job.objects.create(operation="test.do")
    mine, lost = held(job, lease.me()), held(other, lease.me())
    Job.objects.filter(pk=other.pk).update(attempt=7)
    Job.objects.filter(pk=job.pk).update(cancel_requested=True, lease_until=Now() + timedelta(seconds=1))
    with keeper.keeping(mine), keeper.keeping(lost):
        keeper.renew()
    assert (mine.lost, mine.cancel, lost.lost) == (False, True, True)
    assert Job.objects.filter(pk=job.pk, lease_until__gt=Now() + timedelta(seconds=15)).exists()


def test_a_process_is_surely_dead_only_when_that_is_certain() -> None:
    child = subprocess.Popen(["sleep", "60"])
    there = lease.me().rsplit("/", 2)[0] + f"/{child.pid}/{lease._start_time(child.pid)}"
    assert not lease.surely_dead(lease.me())
    assert not lease.surely_dead(there)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert lease.surely_dead(there), "a zombie runs nothing any more"
    child.wait()
    assert lease.surely_dead(there)
    assert not lease.surely_dead(f"another-machine/pid:[1]/{child.pid}/1")
    assert not lease.surely_dead("")
    reused = lease.me().rsplit("/", 1)[0] + "/1"
    assert lease.surely_dead(reused), "the same number, another process"


def test_the_dead_are_buried_at_once(job: Job) -> None:
    child = subprocess.Popen(["true"])
    holder = lease.me().rsplit("/", 2)[0] + f"/{child.pid}/12345"
    child.wait()
    held(job, holder)
    assert claim(job, "b") is None
    reconciler.bury_the_dead()
    assert held(job, "b").job.crashes == 1


class Queue:
    """As much of Redis as an ear needs."""

    def __init__(self) -> None:
        self.length = 1

    def llen(self, name: str) -> int:
        return self.length


def test_a_worker_that_no_longer_hears_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now, deaf = [1000.0], []
    monkeypatch.setattr(reconciler, "clock", lambda: now[0])
    heard, free, queue = [900.0], [True], Queue()
    ear = reconciler.Ear(["actions"], lambda name: free[0], lambda: heard[0], lambda: deaf.append(now[0]))

    def listen_for(seconds: float) -> None:
        for _ in range(int(seconds / 3)):
            ear.listen(queue)  # type: ignore[arg-type]
            now[0] += 3

    free[0] = False
    listen_for(60)
    assert not deaf, "a busy worker is not deaf"
    free[0] = True
    listen_for(15)
    heard[0] = now[0]
    listen_for(15)
    assert not deaf, "it heard one"
    queue.length = 0
    listen_for(60)
    assert not deaf, "there is nothing to hear"
    queue.length = 1
    listen_for(30)
    assert deaf


def test_the_clock_goes_on() -> None:
    before = lease.clock()
    time.sleep(0.01)
    assert lease.clock() > before
