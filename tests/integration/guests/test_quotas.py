"""Quotas beside what a real host really has: made, failed, deleted here and deleted outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dashboard.accounts.models import Quota
from dashboard.inventory.models import Host
from dashboard.jobs import quotas
from dashboard.jobs.errors import Invalid
from tests.integration.guests.conftest import House
from tests.lab.guests import LabGuest

MIB, GIB = 1024, 1024**3


@pytest.fixture(autouse=True)
def tidy(house: House) -> Iterator[None]:
    before = house.names(), house.volumes()
    yield
    for name in house.names() - before[0]:
        house.lab.virsh("undefine", name)
    for name in house.volumes() - before[1]:
        house.lab.virsh("vol-delete", name, "default")


def make(house: House, name: str, **params: Any) -> Any:
    wish = {"name": name, "source": "none", "vcpus": 2, "memory_mib": 64, "disk_gib": 1, "disk_pool": "default"}
    return house.do("guest.create", house.host, **{**wish, "start_now": False, **params})


def compared(house: House) -> None:
    """The monitor's full comparison, and the reconciler's look."""
    house.look()
    Host.objects.filter(pk=house.host.pk).update(generation=house.host.generation + 1)
    house.host.refresh_from_db()
    quotas.correct()


def test_what_counts_is_what_the_host_has(house: House) -> None:
    Quota.objects.create(user=house.user, guests=2, vcpus=4, memory_kib=128 * MIB, disk_bytes=2 * GIB)
    assert make(house, "quota-1").state == "succeeded"
    assert make(house, "quota-2").state == "succeeded"
    compared(house)
    assert quotas.used_by(house.user) == quotas.Use(2, 4, 128 * MIB, 2 * GIB)
    assert quotas.drift() == []
    with pytest.raises(Invalid) as caught:
        make(house, "quota-3")
    assert set(caught.value.errors) == {"", "vcpus", "memory_mib", "disk_gib"}
    assert "quota-3" not in house.names()
    first = house.guest(house.lab.virsh("domuuid", "quota-1").strip())
    house.done("guest.delete", first, name="quota-1", volumes=[first.facts["disks"][0]["source"]])
    assert quotas.used_by(house.user) == quotas.Use(1, 2, 64 * MIB, GIB)
    assert make(house, "quota-3").state == "succeeded"
    compared(house)
    assert quotas.drift() == []


def test_a_create_that_fails_on_the_host_gives_everything_back(
    house: House, make_guest: Callable[..., LabGuest]
) -> None:
    Quota.objects.create(user=house.user, guests=1)
    make_guest(house.lab, "quota-taken", diskless=True)
    job = make(house, "quota-taken")  # the mirror does not know yet that the name is taken
    assert (job.state, job.leftovers) == ("failed", [])
    assert quotas.used_by(house.user) == quotas.Use()
    assert make(house, "quota-free").state == "succeeded"


def test_a_guest_that_is_deleted_and_changed_outside_counts_as_it_is(house: House) -> None:
    make(house, "quota-out")
    house.lab.virsh("setvcpus", "quota-out", "3", "--config", "--maximum")
    compared(house)
    assert quotas.used_by(house.user).vcpus == 3
    house.lab.virsh("undefine", "quota-out", "--remove-all-storage")
    compared(house)
    compared(house)
    compared(house)
    assert quotas.used_by(house.user) == quotas.Use()
    assert quotas.drift() == []
