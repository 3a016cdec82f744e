"""Making a guest on a real libvirt: what it becomes, and that nothing stays of one that fails or is killed half-way."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lxml import etree

from dashboard.inventory.models import Volume
from dashboard.jobs import service
from dashboard.jobs.errors import Invalid
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS
from dashboard.virt.errors import VirtError
from tests.integration.guests.conftest import House
from tests.lab.guests import idle_image

WISH: dict[str, Any] = {
    "name": "fresh", "source": "none", "vcpus": 1, "memory_mib": 32, "disk_gib": 1, "disk_pool": "default",
    "network": "default", "start_now": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    house: House = request.getfixturevalue("house")
    before = house.names(), house.volumes()
    yield
    for name in house.names() - before[0]:
        if house.state(name) != "shut off":
            house.lab.virsh("destroy", name)
        house.lab.virsh("undefine", name, "--nvram")
    for name in house.volumes() - before[1]:
        house.lab.virsh("vol-delete", name, "default")


def definition(house: House, name: str = "fresh") -> etree._Element:
    return etree.fromstring(house.lab.virsh("dumpxml", name))


def put_iso(house: House, name: str = "grub.iso") -> None:
    """A file that libvirt takes for an ISO."""
    (house.lab.images).mkdir(exist_ok=True)
    data = bytearray(64 * 1024)
    data[0x8001:0x8006] = b"CD001"
    (house.lab.images / name).write_bytes(data)
    house.refresh_pool()


def test_a_new_guest_has_its_disk_its_network_and_the_job_that_made_it(house: House) -> None:
    job = house.done("guest.create", house.host, **WISH)
    xml = definition(house)
    assert xml.findtext("uuid") == job.plan["uuid"] == job.result["uuid"]
    assert xml.find("devices/interface/mac").get("address") == job.plan["mac"]
    assert xml.find("devices/interface/source").get("network") == "default"
    assert xml.get("type") == "qemu"
    disk = xml.find("devices/disk[@device='disk']")
    assert disk.find("driver").get("type") == "qcow2"
    assert disk.find("source").get("file").endswith(job.plan["volume"])
    assert str(job.pk) in house.lab.virsh("dumpxml", "fresh")
    assert job.plan["volume"] in house.volumes()
    house.look()
    assert Volume.objects.get(name=job.plan["volume"]).made_format == "qcow2"
    assert house.state("fresh") == "shut off"


def test_it_is_started_at_once_when_asked(house: House) -> None:
    house.done("guest.create", house.host, **WISH | {"start_now": True, "disk_gib": 0, "network": ""})
    assert house.state("fresh") == "running"


def test_from_an_iso(house: House) -> None:
    put_iso(house)
    wish = WISH | {"source": "iso", "source_pool": "default", "source_volume": "grub.iso", "start_now": True}
    house.done("guest.create", house.host, **wish)
    cdrom = definition(house).find("devices/disk[@device='cdrom']")
    assert cdrom.find("source").get("file") == "/var/lib/libvirt/images/grub.iso"
    assert house.state("fresh") == "running"


def test_from_an_image_that_is_attached_as_it_is(house: House) -> None:
    path = house.lab.put(idle_image(), "idle-new.raw")
    house.refresh_pool()
    wish = WISH | {"source": "image", "source_pool": "default", "source_volume": "idle-new.raw", "start_now": True}
    house.done("guest.create", house.host, **wish)
    disks = definition(house).findall("devices/disk")
    assert [(disk.find("driver").get("type"), disk.find("source").get("file")) for disk in disks] == [("raw", path)]
    house.look()
    with pytest.raises(Invalid) as error:  # and only one guest gets it
        house.do("guest.create", house.host, **wish | {"name": "second"})
    assert "fresh" in error.value.errors["source_volume"][0]


def test_an_image_of_unknown_making_needs_its_format_said(house: House) -> None:
    house.lab.put(idle_image(), "idle-new.img")
    house.refresh_pool()
    wish = WISH | {"source": "image", "source_pool": "default", "source_volume": "idle-new.img"}
    with pytest.raises(Invalid) as error:
        house.do("guest.create", house.host, **wish)
    assert list(error.value.errors) == ["image_format"]
    with pytest.raises(Invalid):
        house.do("guest.create", house.host, **wish | {"image_format": "qcow2"})
    house.done("guest.create", house.host, **wish | {"image_format": "raw"})


def test_with_uefi_its_variables_go_when_it_is_deleted(house: House) -> None:
    if "efi" not in (house.host.facts.get("firmwares") or []):
        with pytest.raises(Invalid):
            house.do("guest.create", house.host, **WISH | {"firmware": "efi"})
        return
    job = house.done("guest.create", house.host, **WISH | {"firmware": "efi"})
    house.done("guest.delete", house.guest(job.plan["uuid"]), name="fresh")
    assert "fresh" not in house.names()


@pytest.mark.parametrize("step", ["volume", "define", "start"])
def test_failing_at_any_step_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    before = house.names(), house.volumes()

    def broken(*_args: Any, **_more: Any) -> None:
        raise VirtError("internal", "broken on purpose")

    where = {"volume": "storage.create_volume", "define": "change.define", "start": "power.start"}[step]
    monkeypatch.setattr(f"dashboard.virt.{where}", broken)
    job = house.do("guest.create", house.host, **WISH | {"start_now": True})
    assert job.state == Job.State.FAILED
    assert job.error_detail == "broken on purpose"
    assert not job.leftovers
    assert (house.names(), house.volumes()) == before


@pytest.mark.parametrize("step", [0, 1, 2])
def test_killed_after_any_step_another_worker_finishes_it(house: House, step: int) -> None:
    """The worker dies right after the step did its work and before that is written down."""
    operation = OPERATIONS["guest.create"]

    class Killed(BaseException):
        pass

    real = operation.steps[step].do

    def dies(context: Any) -> None:
        real(context)
        raise Killed

    job = service.submit(
        user=house.user, operation="guest.create", target=house.host, params=WISH | {"start_now": True}
    )
    object.__setattr__(operation.steps[step], "do", dies)  # steps are frozen
    try:
        with pytest.raises(Killed):
            house.run(job)
    finally:
        object.__setattr__(operation.steps[step], "do", real)
    Job.objects.filter(pk=job.pk).update(lease_until=None, holder="")
    job = house.run(job)
    assert job.state == Job.State.SUCCEEDED, (job.error, job.error_detail)
    assert house.state("fresh") == "running"
    assert [name for name in house.volumes() if name.startswith("fresh-")] == [job.plan["volume"]]


def test_a_guest_that_has_the_name_is_not_touched_by_the_undo(house: House, make_guest: Callable[..., Any]) -> None:
    job = service.submit(user=house.user, operation="guest.create", target=house.host, params=WISH)
    other = make_guest(house.lab, "fresh", diskless=True)
    volumes = house.volumes()
    job = house.run(job)
    assert (job.state, job.error_code) == (Job.State.FAILED, "exists")
    assert house.state(other) == "shut off"
    assert house.volumes() == volumes


def test_a_guest_with_the_planned_uuid_that_somebody_else_made_is_not_touched(
    house: House, make_guest: Callable[..., Any]
) -> None:
    job = service.submit(
        user=house.user, operation="guest.create", target=house.host, params=WISH | {"start_now": True}
    )
    other = make_guest(house.lab, "theirs", diskless=True)
    Job.objects.filter(pk=job.pk).update(plan=job.plan | {"uuid": other.uuid})
    job = house.run(job)
    assert (job.state, job.error_code) == (Job.State.FAILED, "exists")
    assert house.state(other) == "shut off"
    assert not [name for name in house.volumes() if name.startswith("fresh-")]


def test_the_plan_names_everything_before_anything_is_made(house: House) -> None:
    before = house.volumes()
    job = service.submit(user=house.user, operation="guest.create", target=house.host, params=WISH)
    assert uuid.UUID(job.plan["uuid"])
    assert job.plan["mac"].startswith("52:54:00:")
    assert job.plan["volume"].startswith("fresh-")
    assert job.plan["volume"].endswith(".qcow2")
    assert house.volumes() == before
    service.cancel(house.user, job)


def test_two_of_one_name_at_the_same_time_are_refused(house: House) -> None:
    from dashboard.jobs.errors import Locked

    job = service.submit(user=house.user, operation="guest.create", target=house.host, params=WISH)
    with pytest.raises(Locked):
        service.submit(user=house.user, operation="guest.create", target=house.host, params=WISH)
    service.submit(user=house.user, operation="guest.create", target=house.host, params=WISH | {"name": "other"})
    service.cancel(house.user, job)


def test_the_command_lines_name_the_same_disk_size(house: House) -> None:
    job = house.done("guest.create", house.host, **WISH)
    assert job.virsh.splitlines()[0].startswith("virsh vol-create-as default fresh")
    assert "1GiB" in job.virsh
