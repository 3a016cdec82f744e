"""Rights that come and go with guests, on a real libvirt: the maker's, those of a deleted one, and tags that carry rights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dashboard.accounts import grants
from dashboard.accounts.access import can
from dashboard.accounts.models import AuditEntry, Grant, Role, User
from dashboard.inventory.credentials import spec_for
from dashboard.inventory.models import Guest
from dashboard.jobs import service
from dashboard.jobs.errors import Invalid
from dashboard.virt import change
from dashboard.virt.errors import VirtError
from dashboard.virt.pool import borrow
from tests.integration.guests.conftest import House
from tests.lab.guests import LabGuest

Make = Callable[..., LabGuest]
WISH: dict[str, Any] = {"name": "made", "source": "none", "vcpus": 1, "memory_mib": 32, "disk_gib": 1, "disk_pool": "default", "network": "default", "start_now": False}  # fmt: skip


@pytest.fixture
def maker(house: House) -> User:
    """Somebody who may make guests on the host, and nothing to guests there."""
    Role.objects.create(slug="makers", name="Makers", permissions=["host.view", "guest.create"])
    person = User.objects.create_user("mona")
    Grant.objects.create(user=person, role="makers", place="host", key=str(house.host.pk))
    house.user = person
    return person


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna", role="administrator")


def granted(person: User) -> list[tuple[str, str]]:
    return list(Grant.objects.filter(user=person, place="guest").values_list("role", "key"))


def test_who_makes_a_guest_may_use_it_and_when_it_is_deleted_the_grant_goes(house: House, maker: User) -> None:
    job = house.done("guest.create", house.host, **WISH)
    uuid = job.plan["uuid"]
    assert granted(maker) == [("operator", f"{house.host.pk}/{uuid}")]
    assert AuditEntry.objects.filter(action="grant.add", actor=maker).count() == 1
    house.user = User.objects.get(pk=maker.pk)
    guest = house.guest(uuid)
    assert can(house.user, "guest.power", guest) and can(house.user, "guest.console", guest)
    house.done("guest.start", guest)
    house.done("guest.force_off", house.guest(uuid))
    guest = house.guest(uuid)
    house.done("guest.delete", guest, name="made", volumes=[disk["source"] for disk in guest.facts["disks"]])
    assert granted(maker) == []
    assert "made" not in house.names()


def test_who_may_use_it_anyway_gets_no_grant(house: House) -> None:
    job = house.done("guest.create", house.host, **WISH)
    assert granted(house.user) == []
    house.look()
    guest = house.guest(job.plan["uuid"])
    house.done("guest.delete", guest, name="made", volumes=[disk["source"] for disk in guest.facts["disks"]])


def test_of_a_making_that_fails_no_grant_stays(house: House, maker: User, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[tuple[str, str]]] = []

    def fail(*args: Any) -> None:
        seen.append(granted(maker))
        raise VirtError("internal", "the start fails")

    monkeypatch.setattr("dashboard.guests.operations.create.power.start", fail)
    job = house.do("guest.create", house.host, **WISH | {"start_now": True})
    assert job.state == "failed" and len(seen[0]) == 1
    assert granted(maker) == [] and "made" not in house.names()


def test_a_guest_that_only_left_the_mirror_keeps_its_grants(house: House, make_guest: Make, anna: User) -> None:
    lab = make_guest(house.lab, diskless=True)
    guest = house.guest(lab)
    grants.add(actor=anna, to=house.user, role="viewer", place="guest", key=f"{house.host.pk}/{guest.uuid}")
    xml = lab.virsh("dumpxml")
    lab.virsh("undefine")
    house.look()
    assert not Guest.objects.filter(uuid=guest.uuid).exists() and len(granted(house.user)) == 1
    path = house.lab.images / "again.xml"
    path.write_text(xml)
    house.lab.virsh("define", str(path))
    assert can(User.objects.get(pk=house.user.pk), "guest.view", house.guest(str(guest.uuid)))


@pytest.mark.parametrize(
    ("operation", "wish"),
    [("guest.tags", {"tags": ["Prod"]}), ("guest.retag", {"add": ["PROD"]}), ("guest.tags", {"tags": ["x", "prod"]})],
)
def test_a_tag_on_which_rights_hang_is_put_on_by_who_manages_people_only(
    house: House, make_guest: Make, anna: User, operation: str, wish: dict[str, Any]
) -> None:
    lab = make_guest(house.lab, diskless=True)
    grants.add(actor=anna, to=house.user, role="viewer", place="tag", key="prod")
    with pytest.raises(Invalid, match="correct") as refused:
        house.do(operation, lab, **wish)
    assert "only who manages people may take it away" in str(refused.value.errors)
    house.done("guest.tags", lab, tags=["free"])
    house.user = anna
    house.done(operation, lab, **wish)
    house.user = User.objects.get(username="olga")
    with pytest.raises(Invalid):
        house.do("guest.tags", lab, tags=[])
    house.done("guest.retag", lab, add=["other"])
    assert "prod" in [tag.lower() for tag in house.guest(lab).tags]


@pytest.mark.parametrize(
    ("operation", "wish"), [("guest.tags", {"tags": ["prod"]}), ("guest.retag", {"add": ["prod"]})]
)
def test_a_tag_that_carries_rights_only_since_the_wish_is_not_put_on_either(
    house: House, make_guest: Make, anna: User, operation: str, wish: dict[str, Any]
) -> None:
    lab = make_guest(house.lab, diskless=True)
    job = service.submit(user=house.user, operation=operation, target=house.guest(lab), params=wish)
    grants.add(actor=anna, to=house.user, role="viewer", place="tag", key="prod")
    house.run(job)
    assert (job.state, job.error_code) == ("failed", "denied")
    assert house.guest(lab).tags == []


def test_a_tag_that_the_mirror_does_not_know_yet_is_not_taken_away_by_accident(
    house: House, make_guest: Make, anna: User
) -> None:
    """Somebody puts a tag on at the same moment: what was asked for by an older picture does not undo it."""
    lab = make_guest(house.lab, diskless=True)
    job = service.submit(user=house.user, operation="guest.tags", target=house.guest(lab), params={"tags": ["mine"]})
    grants.add(actor=anna, to=house.user, role="viewer", place="tag", key="prod")
    with borrow(spec_for(house.host)) as conn:
        change.set_tags(conn, lab.uuid, ["prod"])
    house.run(job)
    assert (job.state, job.error_code) == ("failed", "denied")
    assert house.guest(lab).tags == ["prod"]
