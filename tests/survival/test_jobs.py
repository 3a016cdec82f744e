"""Jobs of the whole product under faults of its own processes: each thing happens once, whoever dies or asks twice."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.lab.hosts import wait_for
from tests.survival.faults import stopped
from tests.survival.invariants import assert_holds
from tests.survival.scene import World, calls, judge


def test_a_post_whose_web_process_dies_before_the_answer_has_made_one_job(world: World) -> None:
    """Redis hangs, so the row is there and the answer waits for the doorbell: then the web process is killed."""
    web = world.process("web")
    with ThreadPoolExecutor(1) as thread:
        with stopped(world.process("redis").pid):
            asked = thread.submit(world.create, "unanswered")
            wait_for(
                lambda: world.truth.jobs("object_key <> '' AND operation = 'guest.create' AND state = 'queued'"),
                seconds=10,
            )
            assert not asked.done()
            web.kill()
        with pytest.raises(OSError):
            asked.result(20)
    world.replaced("web", web.pid)
    again = wait_for(lambda: _create(world, "unanswered"), seconds=30, every=0.3)
    rows = [row for row in world.truth.jobs() if row["params"].get("name") == "unanswered"]
    assert [row["id"] for row in rows] == [again.replace("-", "")]
    judge(world.truth, {"": world.ended(again)})


def test_a_post_whose_web_process_dies_before_the_row_is_written_has_made_none(world: World) -> None:
    before = len(world.truth.jobs())
    web = world.process("web")
    with ThreadPoolExecutor(1) as thread:
        with world.truth.nobody_writes():
            asked = thread.submit(world.create, "unwritten")
            time.sleep(1.5)
            assert not asked.done()
            web.kill()
        with pytest.raises(OSError):
            asked.result(20)
    assert len(world.truth.jobs()) == before
    world.replaced("web", web.pid)
    job = wait_for(lambda: _create(world, "unwritten"), seconds=30, every=0.3)
    assert len(world.truth.jobs()) == before + 1
    judge(world.truth, {"": world.ended(job)})


def _create(world: World, name: str) -> str:
    try:
        return world.create(name)
    except OSError:
        return ""


def test_ten_posts_at_once_and_one_after_a_bad_gateway_make_one_guest(world: World) -> None:
    web = world.process("web")
    with calls(world.host, world.stack.state) as log, ThreadPoolExecutor(10) as threads:
        ids = set(threads.map(lambda _number: world.create("clicked", start_now=True), range(10)))
        assert len(ids) == 1
        web.kill()
        with pytest.raises(OSError):  # 502 or 503: nobody is there
            world.create("clicked", start_now=True)
        world.replaced("web", web.pid)
        ids.add(wait_for(lambda: _again(world), seconds=30, every=0.3))
        assert len(ids) == 1
        world.ended(ids.pop())
        time.sleep(0.5)
        assert log.of("clicked") == ["Defined Added", "Resumed Unpaused", "Started Booted"]


def _again(world: World) -> str:
    try:
        return world.create("clicked", start_now=True)
    except OSError:
        return ""


def test_five_rings_to_two_workers_start_a_guest_once(world: World) -> None:
    """The same message five times, to two workers, while libvirt keeps the first of them waiting."""
    uuid = world.guest("rung")
    world.another_worker()
    with calls(world.host, world.stack.state) as log:
        with stopped(world.host.libvirtd_pid):
            job = world.begin("guest.start", uuid)
            world.at(job, 0)
            _ring(world, job, times=5)
            time.sleep(4)
        row = world.ended(job)
        time.sleep(0.5)
        assert (row["state"], row["attempt"]) == ("succeeded", 1)
        assert log.of("rung").count("Started Booted") == 1


def _ring(world: World, job: str, times: int) -> None:
    """The doorbell itself, pressed by a process of the installation."""
    code = f"from dashboard.jobs import doorbell\nfor _ in range({times}): assert doorbell.ring({job!r}, 'actions')"
    environ = world.process("worker").environ()
    subprocess.run(
        ["python", "manage.py", "shell", "-v", "0", "-c", code], env=environ, check=True, capture_output=True
    )


def test_of_twenty_different_changes_at_once_one_runs_and_the_others_are_told_which(world: World) -> None:
    uuid = world.guest("wanted", start_now=True)
    wishes: list[tuple[str, dict[str, Any]]] = [
        *(("guest.title", {"title": f"title {number}"}) for number in range(5)),
        *(("guest.description", {"description": f"text {number}"}) for number in range(5)),
        *(("guest.tags", {"tags": [f"tag{number}"]}) for number in range(5)),
        ("guest.autostart", {"enabled": True}),
        ("guest.pause", {}),
        ("guest.reboot", {}),
        ("guest.reset", {}),
        ("guest.save", {}),
    ]
    assert len(wishes) == 20
    before = _definition(world, uuid)
    with calls(world.host, world.stack.state) as log, ThreadPoolExecutor(20) as threads:
        with stopped(world.host.libvirtd_pid):
            answers = list(threads.map(lambda wish: world.ask(wish[0], uuid, **wish[1]), wishes))
        taken = [said["job"]["id"] for status, said in answers if status == 202]
        assert sorted(status for status, _said in answers) == [202] + [409] * 19
        assert {said["job"]["id"] for status, said in answers if status == 409} == set(taken)
        row = world.ended(taken[0])
        assert row["state"] == "succeeded", row
        time.sleep(0.5)
        changed = _definition(world, uuid) - before
        happened = len(changed) + len(log.of("wanted")) + len(log.of("wanted", "reboot"))
        print(row["operation"], changed, log.of("wanted"))
        assert happened <= {"guest.save": 2, "guest.reset": 1}.get(row["operation"], 1)
        assert len(world.truth.jobs("object_key = ? AND operation <> 'guest.create'", uuid)) == 1


def _definition(world: World, uuid: str) -> set[str]:
    """What the changes of the test above would leave in the guest's definition, and whether it starts by itself."""
    words = ("<title>", "text ", "tag", "Autostart")
    lines = [*world.host.virsh("dumpxml", uuid).splitlines(), *world.host.virsh("dominfo", uuid).splitlines()]
    return {line.strip() for line in lines if any(word in line for word in words) and "tags" not in line}


def test_a_worker_that_slept_past_its_lease_does_nothing_more_when_it_wakes(world: World) -> None:
    stale = world.process("worker")
    world.slow.hold("sleeper")
    job = world.create("sleeper", start_now=True)
    wait_for(lambda: world.slow.reached("sleeper"), seconds=20, saying="its disk is being made")
    with calls(world.host, world.stack.state) as log:
        os.kill(stale.pid, signal.SIGSTOP)
        try:
            world.another_worker()
            world.slow.let_go("sleeper")
            row = world.ended(job, 60)
            assert (row["state"], row["attempt"]) == ("succeeded", 2)
            lines = world.log_of(job)
        finally:
            os.kill(stale.pid, signal.SIGCONT)
        time.sleep(4)
        assert stale.is_running()
        assert world.truth.job(job) == row
        assert world.log_of(job) == lines
        assert log.of("sleeper") == ["Defined Added", "Resumed Unpaused", "Started Booted"]
    assert_holds(world.truth)
    assert world.ended(world.create("after-sleeper"))["state"] == "succeeded"


def test_a_start_begins_within_a_second_beside_fifty_slow_jobs(world: World) -> None:
    """Fifty creates on storage that hangs, many more than there are threads: half of these stay free for quick jobs."""
    quick = world.guest("quick")
    names = [f"slow{number}" for number in range(50)]
    for name in names:
        world.slow.hold(name)
    jobs = [world.create(name) for name in names]
    wait_for(lambda: len(world.truth.jobs("queue = 'slow' AND state = 'running'")) >= 8, seconds=20)
    for operation in ("guest.start", "guest.pause", "guest.resume", "guest.force_off"):
        begun = time.monotonic()
        job = world.begin(operation, quick)
        look = world.truth.watch(job)
        wait_for(lambda look=look: look()[0] != "queued", seconds=5, every=0)
        took = time.monotonic() - begun
        row = world.ended(job, 20)
        print(f"{operation} beside {len(jobs)} slow jobs: began after {took * 1000:.0f} ms, {row['state']}")
        assert row["state"] == "succeeded", row
        assert took < 1
        world.shows(quick, {"guest.pause": "paused", "guest.force_off": "shutoff"}.get(operation, "running"))
    for name in names:
        world.slow.let_go(name)
    rows = {job: world.ended(job, 180) for job in jobs}
    judge(world.truth, rows)
    assert {row["state"] for row in rows.values()} == {"succeeded"}
