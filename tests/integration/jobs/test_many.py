"""Many guests at once on real workers: turns on each host, hands left for single clicks, and an end whatever dies."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from dashboard.accounts.models import AuditEntry, Grant, User
from dashboard.guests import many as guests_many
from dashboard.inventory import store
from dashboard.inventory.credentials import spec_for
from dashboard.inventory.models import Guest, Host
from dashboard.jobs import many, service
from dashboard.jobs.models import Job
from dashboard.virt import guests
from dashboard.virt.pool import borrow
from tests.integration.jobs.conftest import Plant
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost


def most_at_once(jobs: list[Job]) -> int:
    """How many of them ran at the same moment, by their own timestamps."""
    moments: list[tuple[datetime, int]] = []
    for job in jobs:
        if job.started_at is not None and job.finished_at is not None:
            moments += [(job.started_at, 1), (job.finished_at, -1)]
    most = now = 0
    for _moment, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def imagined(host: Host, number: int, name: str = "sheep") -> list[Guest]:
    """Guests that no host has, for operations of these tests."""
    Guest.objects.bulk_create(
        Guest(host=host, uuid=uuid.uuid4(), name=f"{name}{one:03}", state="shutoff") for one in range(number)
    )
    return list(Guest.objects.filter(host=host, name__startswith=name).select_related("host").order_by("name"))


def children(parent: Job, *states: str) -> list[Job]:
    found = parent.children.order_by("object_name")
    return list(found.filter(state__in=states) if states else found)


def one_start_and_one_end(jobs: list[Job]) -> None:
    for job in jobs:
        phases = AuditEntry.objects.filter(job_id=job.pk, phase__in=("start", "end")).values_list("phase", flat=True)
        assert sorted(phases) == ["end", "start"], f"{job} {job.state}: {list(phases)}"


@pytest.fixture
def alpha(plant: Plant) -> Host:
    return Host.objects.create(name="alpha", transport="test", status="live")


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVMWEB_BULK_PER_HOST", "2")


@pytest.mark.usefixtures("two_at_once")
def test_sixty_on_three_hosts_are_done_two_at_once_on_each(plant: Plant, alpha: Host) -> None:
    others = [Host.objects.create(name=name, transport="test", status="live") for name in ("beta", "gamma")]
    targets = [guest for host in (alpha, *others) for guest in imagined(host, 20, host.name)]
    plant.worker()
    begun = time.monotonic()
    parent = plant.ended(many.submit(user=plant.user, operation="test.hold", targets=targets), 90)
    print(f"60 children in {time.monotonic() - begun:.1f} s")
    assert (parent.state, parent.result["children"]["succeeded"]) == ("succeeded", 60)
    for host in (alpha, *others):
        assert 1 <= most_at_once([child for child in children(parent) if child.host_id == host.pk]) <= 2
    assert len(plant.things()) == 60
    one_start_and_one_end([parent, *children(parent)])


@pytest.mark.usefixtures("two_at_once")
def test_two_workers_keep_the_bound_together(plant: Plant, alpha: Host) -> None:
    plant.worker()
    plant.worker()
    parent = plant.ended(many.submit(user=plant.user, operation="test.hold", targets=imagined(alpha, 40)), 60)
    assert parent.state == "succeeded"
    assert most_at_once(children(parent)) <= 2


def test_single_clicks_begin_at_once_while_five_hundred_wait(plant: Plant, alpha: Host) -> None:
    hosts = [alpha, *(Host.objects.create(name=f"h{one}", transport="test", status="live") for one in range(9))]
    targets = [guest for host in hosts for guest in imagined(host, 50, host.name)]
    hold = plant.trap("hold-before-one")
    plant.worker()
    parent = many.submit(user=plant.user, operation="test.hold", targets=targets)
    plant.until(lambda: parent.children.filter(state="running").count() >= 4, 20, "the hands for many are full")
    slowest = 0.0
    for _ in range(10):
        asked = time.time()
        job = plant.ended(service.submit(user=plant.user, operation="test.stamp"), 10)
        slowest = max(slowest, job.result["began"] - asked)
    print(f"slowest single click beside 500 children: {slowest:.2f} s")
    assert slowest < 1
    service.cancel(plant.user, parent)
    hold.unlink()
    parent = plant.ended(parent, 30)
    assert parent.state == "cancelled"
    assert parent.children.filter(state="cancelled").count() >= 490
    one_start_and_one_end([parent, *children(parent)])


def test_a_worker_killed_in_the_middle_leaves_nothing_undone(plant: Plant, alpha: Host) -> None:
    """Twice: each time with children in the middle of a step and others that wait."""
    targets = imagined(alpha, 12)
    first = plant.worker()
    parent = many.submit(user=plant.user, operation="test.hold", targets=targets)
    for _ in range(2):
        done = len(plant.things())
        plant.until(lambda before=done: len(plant.things()) > before, 20, "some are done")
        hold = plant.trap("hold-after-one")
        plant.until(lambda: children(parent, "running"), 20, "some are in the middle")
        time.sleep(0.3)
        first.kill()
        first.wait()
        hold.unlink()
        first = plant.worker()
    parent = plant.ended(parent, 60)
    assert (parent.state, parent.result["children"]["succeeded"]) == ("succeeded", 12)
    assert sorted(plant.calls()) == ["make one"] * 12, "each once"
    one_start_and_one_end([parent, *children(parent)])


def test_the_parent_ends_when_the_last_look_was_lost(plant: Plant, alpha: Host) -> None:
    """All children have ended, and whoever ended the last died before it looked."""
    parent = many.submit(user=plant.user, operation="test.hold", targets=imagined(alpha, 3))
    parent.children.update(state="succeeded", finished_at=timezone.now())
    plant.worker()
    assert plant.ended(parent, 15).state == "succeeded"


# -- real guests


class Herd:
    """Two enrolled lab hosts with idle guests on each, mirrored once."""

    def __init__(self, hosts: list[LabHost], make_guest: Callable[..., LabGuest]) -> None:
        self.labs = hosts
        self.hosts = [
            Host.objects.create(name=lab.name, transport="local", address=lab.socket, status="live", kvm=False)
            for lab in hosts
        ]
        self.made = [make_guest(lab, f"herd{lab.number}-{one}", display=False) for lab in hosts for one in range(6)]
        for host in self.hosts:
            with borrow(spec_for(host)) as conn:
                store.compare_guests(host, guests.read_guests(conn))

    def guest(self, made: LabGuest) -> Guest:
        return Guest.objects.select_related("host").get(uuid=made.uuid)

    def states(self) -> list[str]:
        return [made.virsh("domstate") for made in self.made]


@pytest.fixture
def herd(plant: Plant, lab_hosts: Callable[[int], list[LabHost]], make_guest: Callable[..., LabGuest]) -> Herd:
    return Herd(lab_hosts(2), make_guest)


@pytest.mark.usefixtures("two_at_once")
@pytest.mark.timeout(240)
def test_twelve_guests_on_two_hosts_start_whatever_dies(plant: Plant, herd: Herd) -> None:
    """One is locked by another job, one is not the person's to see, and the worker is killed half-way."""
    locked, foreign = herd.guest(herd.made[2]), herd.guest(herd.made[9])
    other = Job.objects.create(
        operation="guest.pause", state="running", lock=f"guest:{locked.host_id}:{locked.uuid}", holder="elsewhere/1/1",
        host=locked.host, lease_until=timezone.now() + timedelta(hours=1),
    )  # fmt: skip
    person = User.objects.create_user("pat")
    for made in herd.made:
        if (guest := herd.guest(made)) != foreign:
            Grant.objects.create(user=person, role="operator", place="guest", key=f"{guest.host_id}/{guest.uuid}")

    worker = plant.worker()
    targets = guests_many.targets(person, guests_many.Selection(q="herd"))
    parent = many.submit(user=person, operation="guest.start", targets=targets, params={"paused": True})
    assert parent.children.count() == 11
    plant.until(lambda: len(children(parent, "succeeded")) >= 2, 60, "some have started")
    worker.kill()
    worker.wait()
    plant.worker()
    parent = plant.ended(parent, 120)

    assert (parent.state, parent.error_values["failed"], parent.error_values["all"]) == ("failed", 1, 11)
    (failed,) = children(parent, "failed")
    assert (failed.object_name, failed.error_code, failed.result) == (
        herd.made[2].name, "locked", {"in_the_way": str(other.pk)},
    )  # fmt: skip
    assert [state == "paused" for state in herd.states()] == [one not in (2, 9) for one in range(12)]
    for host in herd.hosts:
        ran = [child for child in children(parent, "succeeded") if child.host_id == host.pk]
        assert most_at_once(ran) <= 2
    one_start_and_one_end([parent, *children(parent)])

    Job.objects.filter(pk=other.pk).update(state="failed", lease_until=None)
    again = plant.ended(service.retry(person, parent), 60)
    assert (again.state, again.children.count()) == ("succeeded", 1)
    assert [state == "paused" for state in herd.states()] == [one != 9 for one in range(12)]
