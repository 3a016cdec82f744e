"""Jobs on a real worker: the ordinary ways in which they end."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from dashboard.inventory.models import Host
from dashboard.jobs import service
from dashboard.jobs.errors import Locked
from dashboard.jobs.models import Job
from tests.integration.jobs.conftest import Plant


def test_a_job_runs_its_steps_and_every_change_is_told(plant: Plant) -> None:
    plant.worker()
    job = plant.ended(plant.submit())
    assert (job.state, job.attempt, job.error) == ("succeeded", 1, "")
    assert plant.things() == ["one-x", "three-x", "two-x"]
    assert [line.text for line in job.lines.all()] == ["Make one", "Make two", "Make three"]
    assert plant.phases(job) == ["start", "end"]
    with plant.redis.client() as client:
        told = [json.loads(entry["m"]) for _id, entry in client.xrange("kvmweb:live")]
    rows = [message["row"] for message in told if message["k"] == "job"]
    assert [(row["state"], row["step"]) for row in rows] == [
        ("queued", 0), ("running", 0), ("running", 1), ("running", 2), ("succeeded", 2),
    ]  # fmt: skip
    assert rows[0]["i18n"].keys() == {"zh-hans"}


def test_a_failed_step_is_undone_and_says_why(plant: Plant) -> None:
    plant.worker()
    plant.trap("fail-after-three")
    job = plant.ended(plant.submit())
    assert (job.state, job.error_code, job.error_detail) == ("failed", "no_space", "ENOSPC")
    assert plant.things() == []
    assert plant.calls() == [
        "make one", "make two", "make three", "unmake three", "unmake two", "unmake one",
    ]  # fmt: skip
    assert plant.phases(job) == ["start", "end"]


def test_what_cannot_be_undone_is_named_and_the_rest_is_undone(plant: Plant) -> None:
    plant.worker()
    plant.trap("fail-after-three")
    plant.trap("bug-before-undo-two")
    job = plant.ended(plant.submit())
    assert job.state == "needs_attention"
    assert len(job.leftovers) == 1
    assert job.leftovers[0][1]["step_text"] == "Make two"
    assert plant.things() == ["two-x"]
    assert plant.phases(job) == ["start", "end"]


def test_ten_submits_at_once_make_one_job(plant: Plant) -> None:
    plant.worker()
    hold = plant.trap("hold-before-two")

    def try_it(_number: int) -> Job | None:
        try:
            return plant.submit()
        except Locked as error:
            assert error.job.state in Job.ACTIVE
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as threads:
        made = [job for job in threads.map(try_it, range(10)) if job]
    hold.unlink()
    assert len(made) == 1
    assert plant.ended(made[0]).state == "succeeded"
    assert plant.calls() == ["make one", "make two", "make three"]


def test_ten_submits_with_one_key_give_one_job(plant: Plant) -> None:
    plant.worker()

    def try_it(_number: int) -> Job:
        try:
            return service.submit(user=plant.user, operation="test.make", params={}, idempotency_key="k")
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as threads:
        made = {job.pk for job in threads.map(try_it, range(10))}
    assert len(made) == 1
    assert Job.objects.count() == 1
    plant.ended(Job.objects.get())
    assert plant.calls() == ["make one", "make two", "make three"]


def test_five_rings_for_one_job_do_each_thing_once(plant: Plant) -> None:
    from dashboard.jobs import doorbell

    plant.worker()
    plant.worker()
    hold = plant.trap("hold-before-two")
    job = plant.submit()
    for _ in range(5):
        doorbell.ring(str(job.pk), "actions")
    plant.until(lambda: plant.calls(), 10, "it runs")
    hold.unlink()
    assert plant.ended(job).attempt == 1
    assert plant.calls() == ["make one", "make two", "make three"]


def test_one_message_brought_five_times_is_worked_on_once_and_none_waits_for_a_visibility_timeout(plant: Plant) -> None:
    """The very same message, as a broker brings it again that thinks it was lost; to two workers at once."""
    hold = plant.trap("hold-before-two")
    job = plant.submit()
    with plant.redis.client() as client:
        (message,) = client.lrange("actions", 0, -1)
        client.lpush("actions", *[message] * 4)
        plant.worker()
        plant.worker()
        plant.until(lambda: plant.logs().count("received") == 5, 20, "all five came")
        plant.until(lambda: plant.calls() == ["make one"], 10, "it runs")
        assert client.hlen("unacked") == 0, "acknowledged when it came: no timeout can bring it again"
        hold.unlink()
        assert plant.ended(job).attempt == 1
    assert plant.calls() == ["make one", "make two", "make three"]


def test_a_running_job_is_cancelled_inside_a_step_and_undone(plant: Plant) -> None:
    plant.worker()
    job = plant.submit("test.patient")
    plant.until(lambda: "patient" in plant.calls(), 10, "it waits")
    assert Job.objects.get(pk=job.pk).progress == 0.5
    service.cancel(plant.user, job)
    begun = time.monotonic()
    job = plant.ended(job)
    assert time.monotonic() - begun < 3
    assert (job.state, job.error_code) == ("cancelled", "cancelled")
    assert plant.things() == []
    assert plant.phases(job) == ["start", "end"]


def test_a_cancel_between_steps_is_honoured(plant: Plant) -> None:
    plant.worker()
    hold = plant.trap("hold-after-one")
    job = plant.submit("test.cancellable")
    plant.until(lambda: plant.things(), 10, "step one is done")
    service.cancel(plant.user, job)
    time.sleep(0.6)
    hold.unlink()
    assert plant.ended(job).state == "cancelled"
    assert plant.calls() == ["make one", "unmake one"]


def test_a_right_that_was_taken_away_meanwhile_counts(plant: Plant) -> None:
    job = plant.submit()
    plant.user.is_active = False
    plant.user.save()
    plant.worker()
    job = plant.ended(job)
    assert (job.state, job.error_code) == ("failed", "denied")
    assert plant.calls() == []
    assert plant.phases(job) == ["start", "end"]


def test_a_host_that_goes_away_for_a_moment_is_waited_for(plant: Plant) -> None:
    plant.worker()
    plant.trap("away-before-two", "2")
    job = plant.ended(plant.submit())
    assert job.state == "succeeded"
    assert [line.text for line in job.lines.filter(level="warning")] == ["The host does not answer; trying again."] * 2


def test_a_step_works_on_the_jobs_host(plant: Plant) -> None:
    plant.worker()
    host = Host.objects.create(name="demo", transport="test", status="live")
    job = plant.ended(service.submit(user=plant.user, operation="test.host", target=host))
    assert (job.state, job.result["uri"]) == ("succeeded", "test:///default")


def test_a_host_that_stays_away_fails_the_job_within_its_bounds(plant: Plant) -> None:
    """Nothing listens on that port; the step may take four seconds."""
    plant.worker()
    host = Host.objects.create(name="gone", transport="tls", address="127.0.0.1", port=1, status="live")
    begun = time.monotonic()
    job = plant.ended(service.submit(user=plant.user, operation="test.host", target=host))
    assert 1 < time.monotonic() - begun < 8
    assert (job.state, job.error_code) == ("failed", "unreachable")
    assert job.error_detail
    assert job.lines.filter(level="warning").exists()


def test_an_undo_that_hangs_is_named_as_left_over(plant: Plant) -> None:
    plant.worker()
    stuck = plant.trap("stuck")
    job = plant.ended(plant.submit("test.stuck_undo"))
    assert (job.state, job.error_code) == ("needs_attention", "no_space")
    assert [values["step_text"] for _text, values in job.leftovers] == ["Hang"]
    assert plant.things() == []
    stuck.unlink()
    assert plant.phases(job) == ["start", "end"]


def test_a_step_that_hangs_is_given_up_and_the_rest_undone(plant: Plant) -> None:
    plant.worker()
    stuck = plant.trap("stuck")
    job = plant.ended(plant.submit("test.stuck"))
    assert (job.state, job.error_code) == ("needs_attention", "hung")
    assert plant.things() == []
    stuck.unlink()
    plant.until(lambda: "unstuck" in plant.calls(), 5, "the hung call returns")
    time.sleep(0.3)
    assert "written after being given up" not in plant.calls()
    assert "unstuck" not in Job.objects.get(pk=job.pk).plan
    assert plant.phases(job) == ["start", "end"]


def test_slow_jobs_leave_room_for_quick_ones(plant: Plant) -> None:
    plant.worker()
    hold = plant.trap("hold-before-one")
    slow = [plant.submit("test.slow", tail=f"s{number}") for number in range(10)]
    plant.until(lambda: Job.objects.filter(state="running").count() == 4, 10, "half of the threads run slow jobs")
    begun = time.monotonic()
    stamp = plant.ended(plant.submit("test.stamp"))
    assert time.monotonic() - begun < 2
    assert stamp.state == "succeeded"
    hold.unlink()
    for job in slow:
        assert plant.ended(job, 40).state == "succeeded"


def test_a_worker_told_to_end_hands_its_job_over(plant: Plant) -> None:
    first = plant.worker()
    job = plant.submit("test.patient")
    plant.until(lambda: "patient" in plant.calls(), 10, "it waits")
    second = plant.worker()
    first.send_signal(signal.SIGTERM)
    handed = plant.until(lambda: plant.calls().count("patient") == 2, 10, "the second worker goes on")
    assert handed < 4
    plant.died(first, 6)
    assert second.poll() is None
    job.refresh_from_db()
    assert (job.state, job.step, job.crashes, job.attempt) == ("running", 1, 0, 2)
    service.cancel(plant.user, job)
    assert plant.ended(job).state == "cancelled"
    assert plant.calls() == ["make one", "patient", "patient", "unmake one"]


def test_a_worker_told_to_end_goes_even_from_the_middle_of_a_call(plant: Plant) -> None:
    first = plant.worker()
    hold = plant.trap("hold-after-two")
    job = plant.submit()
    plant.until(lambda: "make two" in plant.calls(), 10, "step two is in the middle")
    plant.worker()
    first.send_signal(signal.SIGTERM)
    plant.died(first, 4.9)
    hold.unlink()
    job = plant.ended(job)
    assert (job.state, job.crashes) == ("succeeded", 0)
    assert plant.calls() == ["make one", "make two", "make three"]
