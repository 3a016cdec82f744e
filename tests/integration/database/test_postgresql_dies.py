"""PostgreSQL killed under running processes: all of them go on when it is back, and nothing is done twice."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.db import OperationalError, transaction
from websockets.exceptions import ConnectionClosed

from dashboard.jobs.models import Job
from tests.integration.database.conftest import Mortal
from tests.integration.inventory.mirror import Mirror
from tests.integration.jobs.conftest import Plant
from tests.integration.jobs.operations import STEPS
from tests.lab.database import Database
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost

Make = Callable[..., LabGuest]
DOWN_SECONDS = 4.0


@pytest.mark.parametrize("place", ["before-one", "after-one", "before-two", "after-three"])
def test_a_job_ends_once_whose_database_dies_in_the_middle_of_a_step(plant: Plant, mortal: Mortal, place: str) -> None:
    worker = plant.worker()
    hold = plant.trap(f"hold-{place}")
    job = plant.submit()
    queued = plant.submit(tail="later")
    when, step = place.split("-")
    done = STEPS.index(step) + (when == "after")
    plant.until(lambda: plant.calls().count("make one") >= bool(done) and len(plant.calls()) >= done, 15, "it is there")
    time.sleep(0.3)
    mortal.kill()
    hold.unlink()  # the step goes on without a database
    time.sleep(DOWN_SECONDS)
    mortal.start()
    for one in (job, queued):
        assert plant.ended(one, 60).state == "succeeded"
        assert plant.phases(one) == ["start", "end"]
    assert sorted(plant.calls()) == sorted(f"make {step}" for step in STEPS for _ in range(2))
    assert worker.poll() is None, plant.logs()


def test_a_thread_that_met_a_dead_connection_once_gets_another(its_database: Database, mortal: Mortal) -> None:
    assert Job.objects.count() == 0
    mortal.server.kill()
    mortal.start()
    with pytest.raises(OperationalError):
        Job.objects.count()
    assert Job.objects.count() == 0
    with pytest.raises(OperationalError), transaction.atomic():
        Job.objects.count()
        mortal.server.kill()
        mortal.start()
        Job.objects.count()  # not on another connection: what the transaction had done is lost
    assert Job.objects.count() == 0


def test_an_undo_is_finished_whose_database_dies(plant: Plant, mortal: Mortal) -> None:
    plant.worker()
    plant.trap("fail-after-three")
    hold = plant.trap("hold-before-undo-two")
    job = plant.submit()
    plant.until(lambda: "unmake three" in plant.calls(), 15, "it undoes")
    time.sleep(0.3)
    mortal.kill()
    hold.unlink()
    time.sleep(DOWN_SECONDS)
    mortal.start()
    job = plant.ended(job, 60)
    assert (job.state, job.error_code) == ("failed", "no_space")
    assert plant.things() == []
    assert plant.phases(job) == ["start", "end"]


def test_a_worker_that_starts_without_a_database_works_when_there_is_one(plant: Plant, mortal: Mortal) -> None:
    job = plant.submit()
    mortal.kill()
    worker = plant.worker()
    time.sleep(DOWN_SECONDS)
    mortal.start()
    assert plant.ended(job, 60).state == "succeeded"
    assert worker.poll() is None


def test_monitor_and_pages_go_on_when_the_database_is_back(
    mirror: Mirror, mortal: Mortal, lab_host: LabHost, make_guest: Make
) -> None:
    guest = make_guest(lab_host, "enduring", start=True)
    mirror.web()
    monitor = mirror.monitor()
    host = mirror.live(mirror.add(lab_host))
    session = mirror.session(mirror.person())
    page = mirror.open(session)
    mortal.kill()
    guest.virsh("suspend")  # nobody can write it down
    time.sleep(12)
    assert mirror.beats()
    mortal.start()
    page.hears_guest("enduring", state="paused", seconds=30)
    guest.virsh("resume")
    page.hears_guest("enduring", state="running", seconds=15)
    mirror.live(host)
    # The page's session is looked at again, by the thread that had lost its connection.
    from django.contrib.sessions.models import Session

    Session.objects.filter(session_key=session).delete()
    with pytest.raises(ConnectionClosed):
        page.hears(lambda one: False, 15)
    assert monitor.poll() is None
    assert mirror.processes["web"].poll() is None
    assert not Job.objects.exists()
