"""Jobs under faults: killed and stopped workers, a Redis that dies, steps that always end their worker."""

from __future__ import annotations

import itertools
import os
import signal
import time

import pytest

from dashboard.jobs.models import Job
from tests.integration.jobs.conftest import Plant
from tests.integration.jobs.operations import STEPS

FORWARD = [f"{when}-{step}" for step in STEPS for when in ("before", "after")]
BACKWARD = [f"{when}-undo-{step}" for step in reversed(STEPS) for when in ("before", "after")]


def one_end_each(plant: Plant) -> None:
    """No job without an end, none with two; each final."""
    for job in Job.objects.all():
        assert job.state not in Job.ACTIVE
        assert plant.phases(job) == ["start", "end"]


def nurse(plant: Plant, job: Job, kills: int) -> float:
    """Start a new worker each time that one kills itself; the longest time from a death to the job going on."""
    worker = plant.worker()
    slowest = 0.0
    for _ in range(kills):
        plant.died(worker, 30)
        attempt = Job.objects.get(pk=job.pk).attempt
        died = time.monotonic()
        worker = plant.worker()
        plant.until(lambda now=attempt: Job.objects.get(pk=job.pk).attempt > now, 25, "the job goes on")
        slowest = max(slowest, time.monotonic() - died)
    return slowest


def test_a_worker_killed_at_each_place_of_each_step_does_everything_once(plant: Plant) -> None:
    for place in FORWARD:
        plant.trap(f"kill-{place}")
    job = plant.submit()
    slowest = nurse(plant, job, len(FORWARD))
    job = plant.ended(job)
    print(f"slowest recovery after kill -9: {slowest:.1f} s")
    assert slowest < 15
    assert (job.state, job.attempt) == ("succeeded", len(FORWARD) + 1)
    assert plant.calls() == ["make one", "make two", "make three"]
    one_end_each(plant)


def test_a_worker_killed_at_each_place_of_each_undo_leaves_nothing_behind(plant: Plant) -> None:
    plant.trap("fail-after-three")
    for place in BACKWARD:
        plant.trap(f"kill-{place}")
    job = plant.submit()
    nurse(plant, job, len(BACKWARD))
    job = plant.ended(job)
    assert (job.state, job.error_code) == ("failed", "no_space")
    assert plant.things() == []
    assert plant.calls()[3:] == ["unmake three", "unmake two", "unmake one"]
    one_end_each(plant)


@pytest.mark.parametrize("place", ["before-two", "after-two"])
def test_another_worker_of_this_machine_takes_over_within_seconds(plant: Plant, place: str) -> None:
    plant.trap(f"kill-{place}")
    plant.worker()
    plant.worker()
    job = plant.ended(plant.submit(), 10)
    assert job.state == "succeeded"
    assert job.attempt == 2
    assert plant.calls() == ["make one", "make two", "make three"]


def test_a_step_that_always_ends_its_worker_is_not_tried_for_ever(plant: Plant) -> None:
    plant.trap("always-kill-after-two")
    poison = plant.submit()
    worker = plant.worker()
    for _ in range(3):
        plant.died(worker, 30)
        worker = plant.worker()
    poison = plant.ended(poison)
    assert (poison.state, poison.error_code) == ("needs_attention", "poison")
    assert plant.things() == []
    (plant.world / "always-kill-after-two").unlink()
    assert plant.ended(plant.submit(tail="y")).state == "succeeded"
    one_end_each(plant)


def test_an_undo_that_always_ends_its_worker_is_named_as_left_over(plant: Plant) -> None:
    plant.trap("fail-after-three")
    plant.trap("always-kill-before-undo-two")
    job = plant.submit()
    worker = plant.worker()
    for _ in range(3):
        plant.died(worker, 30)
        worker = plant.worker()
    job = plant.ended(job)
    assert job.state == "needs_attention"
    assert [values["step_text"] for _text, values in job.leftovers] == ["Make two"]
    assert plant.things() == ["two-x"]
    one_end_each(plant)


def test_a_stopped_worker_is_fenced_when_it_wakes(plant: Plant) -> None:
    """Stopped for longer than its lease in the middle of a step, woken after another has finished the job."""
    stale = plant.worker()
    hold = plant.trap("hold-before-two")
    job = plant.submit()
    plant.until(lambda: "make one" in plant.calls(), 10, "it runs")
    time.sleep(0.3)
    os.kill(stale.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    hold.unlink()
    plant.worker()
    job = plant.ended(job, 40)
    print(f"taken over from a stopped worker after {time.monotonic() - stopped:.1f} s")
    assert job.state == "succeeded"
    calls, lines, finished = plant.calls(), job.lines.count(), job.finished_at
    os.kill(stale.pid, signal.SIGCONT)
    time.sleep(3)
    assert stale.poll() is None
    job.refresh_from_db()
    assert (job.attempt, job.finished_at, job.lines.count()) == (2, finished, lines)
    assert plant.calls() == calls == ["make one", "make two", "make three"]
    one_end_each(plant)


def test_jobs_submitted_while_redis_is_dead_run_when_it_is_back(plant: Plant) -> None:
    plant.worker()
    assert plant.ended(plant.submit(tail="a")).state == "succeeded"
    plant.redis.stop()
    begun = time.monotonic()
    waiting = [plant.submit(tail=f"b{number}") for number in range(3)]
    assert time.monotonic() - begun < 1
    time.sleep(2)
    plant.redis.start()
    for job in waiting:
        assert plant.ended(job, 40).state == "succeeded"
    one_end_each(plant)


@pytest.mark.parametrize("place", FORWARD[::2])
def test_redis_that_dies_in_the_middle_of_a_step_does_not_disturb_the_job(plant: Plant, place: str) -> None:
    plant.worker()
    hold = plant.trap(f"hold-{place}")
    job = plant.submit()
    queued = plant.submit("test.make", tail="later")
    plant.until(lambda: Job.objects.get(pk=job.pk).state == Job.State.RUNNING, 10, "a worker has it")
    reached = FORWARD.index(place) // 2
    plant.until(lambda: len([call for call in plant.calls() if call.startswith("make")]) >= reached, 10, "there")
    plant.redis.stop()
    hold.unlink()
    assert plant.ended(job, 20).state == "succeeded"
    plant.redis.start()
    assert plant.ended(queued, 40).state == "succeeded"
    assert plant.ended(plant.submit(tail="after"), 40).state == "succeeded"
    one_end_each(plant)


def test_rings_that_a_restarted_redis_forgot_are_rung_again(plant: Plant) -> None:
    """Killed without persistence while no worker is there: the queue is empty, the table is not."""
    jobs = [plant.submit(tail=f"t{number}") for number in range(5)]
    plant.redis.stop()
    plant.redis.start()
    plant.worker()
    for job in jobs:
        assert plant.ended(job, 20).state == "succeeded"
    assert sorted(plant.calls()) == sorted(f"make {step}" for step, _ in itertools.product(STEPS, jobs))


def test_everything_killed_at_once_ends_every_job(plant: Plant) -> None:
    """A power cut: workers and Redis at once, some jobs running, some waiting."""
    first, second = plant.worker(), plant.worker()
    hold = plant.trap("hold-after-two")
    jobs = [plant.submit(tail=f"t{number}") for number in range(20)]
    plant.until(lambda: plant.calls().count("make two") >= 3, 20, "some are in the middle")
    first.kill()
    second.kill()
    plant.redis.stop()
    hold.unlink()
    plant.redis.start()
    plant.worker()
    for job in jobs:
        assert plant.ended(job, 40).state == "succeeded"
    assert sorted(plant.calls()) == sorted(f"make {step}" for step, _ in itertools.product(STEPS, jobs))
    one_end_each(plant)
