"""Deleting a guest: what goes, what stays, and what is named when it could not go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard.inventory.models import Guest
from dashboard.jobs import service
from dashboard.jobs.errors import Invalid, Refused
from dashboard.jobs.models import Job
from tests.integration.guests.conftest import House
from tests.lab.guests import LabGuest

Make = Callable[..., LabGuest]


@pytest.fixture
def guest(house: House, make_guest: Make) -> LabGuest:
    made = make_guest(house.lab)
    house.refresh_pool()
    return made


def disk_of(house: House, guest: LabGuest) -> str:
    path: str = house.guest(guest).facts["disks"][0]["source"]
    return path


def test_without_a_tick_every_disk_stays(house: House, guest: LabGuest) -> None:
    path = disk_of(house, guest)
    house.done("guest.delete", guest, name=guest.name)
    assert guest.name not in house.names()
    assert Path(path).name in house.volumes()


def test_a_ticked_disk_goes(house: House, guest: LabGuest) -> None:
    path = disk_of(house, guest)
    house.done("guest.delete", guest, name=guest.name, volumes=[path])
    assert guest.name not in house.names()
    assert Path(path).name not in house.volumes()


def test_another_name_is_refused(house: House, guest: LabGuest) -> None:
    with pytest.raises(Invalid) as error:
        house.do("guest.delete", guest, name="somebody-else")
    assert list(error.value.errors) == ["name"]
    assert guest.name in house.names()


def test_a_disk_that_is_not_its_own_is_refused(house: House, guest: LabGuest) -> None:
    with pytest.raises(Invalid) as error:
        house.do("guest.delete", guest, name=guest.name, volumes=["/etc/passwd"])
    assert "/etc/passwd" in error.value.errors["volumes"][0]


def test_a_disk_that_another_guest_uses_is_refused(house: House, guest: LabGuest, make_guest: Make) -> None:
    path = disk_of(house, guest)
    other = make_guest(house.lab, diskless=True)
    other.virsh("attach-disk", path, "vdb", "--config", "--targetbus", "virtio", "--mode", "readonly")
    with pytest.raises(Invalid) as error:
        house.do("guest.delete", guest, name=guest.name, volumes=[path])
    assert other.name in error.value.errors["volumes"][0]


def test_a_running_guest_is_refused(house: House, guest: LabGuest) -> None:
    guest.virsh("start")
    with pytest.raises(Refused, match="shut it down first"):
        house.do("guest.delete", guest, name=guest.name)


def test_one_that_was_started_meanwhile_is_not_deleted(house: House, guest: LabGuest) -> None:
    path = disk_of(house, guest)
    wish = {"name": guest.name, "volumes": [path]}
    job = service.submit(user=house.user, operation="guest.delete", target=house.guest(guest), params=wish)
    guest.virsh("start")
    assert house.run(job).error_code == "state"
    assert house.state(guest) == "running"
    assert Path(path).name in house.volumes()


def test_a_disk_that_another_guest_took_meanwhile_is_kept_and_named(
    house: House, guest: LabGuest, make_guest: Make
) -> None:
    path = disk_of(house, guest)
    wish = {"name": guest.name, "volumes": [path]}
    job = service.submit(user=house.user, operation="guest.delete", target=house.guest(guest), params=wish)
    other = make_guest(house.lab, diskless=True)
    other.virsh("attach-disk", path, "vdb", "--config", "--targetbus", "virtio")
    job = house.run(job)
    assert job.state == Job.State.NEEDS_ATTENTION
    assert path in str(job.leftovers)
    assert other.name in str(job.leftovers)
    assert Path(path).name in house.volumes()
    assert guest.name not in house.names()


def test_a_disk_on_which_another_was_based_meanwhile_is_kept_and_named(house: House, guest: LabGuest) -> None:
    path = disk_of(house, guest)
    wish = {"name": guest.name, "volumes": [path]}
    job = service.submit(user=house.user, operation="guest.delete", target=house.guest(guest), params=wish)
    top = f"{guest.name}-top.qcow2"
    house.lab.virsh(
        "vol-create-as", "default", top, "1G", "--format", "qcow2", "--backing-vol", path, "--backing-vol-format", "raw"
    )
    try:
        job = house.run(job)
        assert job.state == Job.State.NEEDS_ATTENTION
        assert top in str(job.leftovers)
        assert Path(path).name in house.volumes()
    finally:
        house.lab.virsh("vol-delete", top, "--pool", "default")


def test_a_saved_state_goes_with_its_guest(house: House, guest: LabGuest) -> None:
    guest.virsh("start")
    guest.virsh("managedsave")
    house.done("guest.delete", guest, name=guest.name)
    assert guest.name not in house.names()


def test_doing_it_again_after_a_crash_is_harmless(house: House, guest: LabGuest) -> None:
    path = disk_of(house, guest)
    job = house.done("guest.delete", guest, name=guest.name, volumes=[path])
    Job.objects.filter(pk=job.pk).update(state=Job.State.QUEUED, step=0, lease_until=None, finished_at=None)
    assert house.run(job).state == Job.State.SUCCEEDED
    house.look()
    assert not Guest.objects.filter(uuid=guest.uuid).exists()
