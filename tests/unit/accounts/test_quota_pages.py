"""Pages of quotas: setting limits, seeing use, owners of guests, gauges where one creates."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django import Settings

from dashboard.accounts.models import AuditEntry, Quota, User
from dashboard.inventory.models import Guest, Host, Pool, Volume
from dashboard.jobs import quotas
from dashboard.jobs.models import Ownership
from tests.unit.guests.conftest import FACTS

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
GIB = 1024**3


@pytest.fixture(autouse=True)
def bare(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


def browser_of(name: str, role: str) -> Client:
    client = Client()
    client.force_login(User.objects.create_user(name, role=role), backend=BACKEND)
    return client


@pytest.fixture
def boss() -> Client:
    return browser_of("boss", "administrator")


@pytest.fixture
def olga() -> User:
    return User.objects.create_user("olga", role="operator")


@pytest.fixture
def guest() -> Guest:
    host = Host.objects.create(
        name="alpha", transport="test", status="live", memory_kib=64 * 1024**2, cpus=8, facts={"firmwares": ["bios"]}
    )
    pool = Pool.objects.create(
        host=host,
        uuid=uuid.uuid4(),
        name="default",
        kind="dir",
        state="running",
        capacity=900 * GIB,
        available=800 * GIB,
    )
    facts: dict[str, Any] = {**FACTS, "disks": []}
    for name, size, device in (("a.qcow2", 20, "disk"), ("debian.iso", 1, "cdrom")):
        Volume.objects.create(pool=pool, name=name, capacity=size * GIB, path=f"/pool/{name}")
        facts["disks"].append({"target": "vda", "bus": "virtio", "device": device, "source": f"/pool/{name}"})
    return Guest.objects.create(
        host=host, uuid=uuid.uuid4(), name="web1", state="running", vcpus_max=4, memory_max_kib=8 * 1024**2, facts=facts
    )


def test_limits_are_set_in_the_units_of_people_and_written_down(boss: Client, olga: User) -> None:
    sent = {"guests": "3", "vcpus": "", "memory_gib": "7.5", "disk_gib": "100"}
    assert boss.post(f"/people/{olga.pk}/quota/", sent).status_code == 302
    quota = Quota.objects.get(user=olga)
    assert (quota.guests, quota.vcpus, quota.memory_kib, quota.disk_bytes) == (3, None, 7.5 * 1024**2, 100 * GIB)
    page = boss.get(f"/people/{olga.pk}/quota/").content.decode()
    assert 'value="7.5"' in page and 'value="100"' in page
    written = AuditEntry.objects.get(action="quota.change")
    assert (written.actor_name, written.object_kind, written.object_name) == ("boss", "person", "olga")
    assert written.detail["after"]["guests"] == 3


def test_a_quota_without_any_limit_is_none(boss: Client, olga: User) -> None:
    Quota.objects.create(user=olga, guests=1)
    boss.post(f"/people/{olga.pk}/quota/", {"guests": "", "vcpus": "", "memory_gib": "", "disk_gib": ""})
    assert not Quota.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"), [("guests", "-1"), ("vcpus", "x"), ("memory_gib", "1.23456"), ("disk_gib", "99999999999")]
)
def test_a_limit_that_cannot_be_is_told_beside_its_field(boss: Client, olga: User, field: str, value: str) -> None:
    answer = boss.post(f"/people/{olga.pk}/quota/", {"guests": "3", field: value})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert f'id="id_{field}_error"' in page and f'value="{value}"' in page
    assert not Quota.objects.exists()


def test_the_quota_of_a_group_is_shown_on_its_page_with_what_its_members_own(
    boss: Client, olga: User, guest: Guest
) -> None:
    team = Group.objects.create(name="lab")
    team.user_set.add(olga)
    boss.post(f"/people/groups/{team.pk}/quota/", {"vcpus": "10"})
    Ownership.objects.create(user=olga, host=guest.host, uuid=guest.uuid, disk_bytes=5 * GIB)
    page = boss.get(f"/people/groups/{team.pk}/").content.decode()
    assert "4 of 10" in page and "5 GiB, no limit" in page
    assert f"/people/groups/{team.pk}/quota/" in page
    assert "4, no limit" in boss.get(f"/people/{olga.pk}/").content.decode()


def test_only_who_manages_people_sets_quotas_and_owners(olga: User, guest: Guest) -> None:
    client = Client()
    client.force_login(olga, backend=BACKEND)
    assert client.post(f"/people/{olga.pk}/quota/", {"guests": "99"}).status_code == 403
    assert client.post(f"/guests/{guest.uuid}/owner/", {"owner": ""}).status_code == 403
    assert 'name="owner"' not in client.get(f"/guests/{guest.uuid}/").content.decode()


def test_an_administrator_names_the_owner_of_a_guest_made_outside(boss: Client, olga: User, guest: Guest) -> None:
    page = boss.get(f"/guests/{guest.uuid}/").content.decode()
    assert "Nobody: it counts against no quota." in page
    assert boss.post(f"/guests/{guest.uuid}/owner/", {"owner": "OLGA"}).status_code == 302
    assert quotas.used_by(olga) == quotas.Use(1, 4, 8 * 1024**2, 20 * GIB), "its disk, not the medium in its drive"
    assert f'href="/people/{olga.pk}/"' in boss.get(f"/guests/{guest.uuid}/").content.decode()
    written = AuditEntry.objects.get(action="guest.owner")
    assert (written.object_name, written.detail) == ("web1", {"before": "", "after": "olga"})
    boss.post(f"/guests/{guest.uuid}/owner/", {"owner": ""})
    assert quotas.used_by(olga) == quotas.Use()


def test_a_guest_keeps_what_its_disks_were_made_with_when_its_owner_changes(
    boss: Client, olga: User, guest: Guest
) -> None:
    Ownership.objects.create(user=olga, host=guest.host, uuid=guest.uuid, disk_bytes=77)
    boss.post(f"/guests/{guest.uuid}/owner/", {"owner": "boss"})
    assert quotas.used_by(User.objects.get(username="boss")).disk_bytes == 77
    assert quotas.used_by(olga) == quotas.Use()


def test_an_owner_that_there_is_not_changes_nothing(boss: Client, olga: User, guest: Guest) -> None:
    answer = boss.post(f"/guests/{guest.uuid}/owner/", {"owner": "nobody-here"}, follow=True)
    assert "There is nobody with the name nobody-here" in answer.content.decode()
    assert not Ownership.objects.exists()


def check(client: Client, guest: Guest, **params: Any) -> dict[str, Any]:
    body = {"host": guest.host_id, "params": {"name": "new", "source": "none", "disk_pool": "default", **params}}
    answer = client.post("/guests/new/check/", json.dumps(body), content_type="application/json")
    found: dict[str, Any] = answer.json()
    return found


def test_gauges_follow_what_one_types_and_say_what_is_too_much(olga: User, guest: Guest) -> None:
    client = Client()
    client.force_login(olga, backend=BACKEND)
    assert check(client, guest)["quotas"] == []
    assert "data-gauge" not in client.get("/guests/new/").content.decode()
    Quota.objects.create(user=olga, vcpus=6, disk_bytes=50 * GIB)
    Ownership.objects.create(user=olga, host=guest.host, uuid=guest.uuid, disk_bytes=20 * GIB)
    page = client.get("/guests/new/").content.decode()
    assert page.count("data-gauge=") == 2 and "4 of 6" in page and "20 GiB of 50 GiB" in page
    found = check(client, guest, vcpus=2, disk_gib=30)
    assert found["errors"] == {}
    assert [(one["text"], one["level"]) for one in found["quotas"][0]["gauges"]] == [
        ("6 of 6", "high"),
        ("50 GiB of 50 GiB", "high"),
    ]
    found = check(client, guest, vcpus=3, disk_gib=31)
    assert set(found["errors"]) == {"vcpus", "disk_gib"}
    assert [one["level"] for one in found["quotas"][0]["gauges"]] == ["over", "over"]


def test_what_cannot_be_read_yet_is_told_as_that_and_not_as_too_much(olga: User, guest: Guest) -> None:
    client = Client()
    client.force_login(olga, backend=BACKEND)
    Quota.objects.create(user=olga, vcpus=0)
    found = check(client, guest, vcpus="many")
    assert found["errors"]["vcpus"] == ["Enter a whole number."]


def test_the_api_names_the_field_that_asks_for_too_much(olga: User, guest: Guest) -> None:
    client = Client()
    client.force_login(olga, backend=BACKEND)
    Quota.objects.create(user=olga, memory_kib=1024**2)
    body = {"name": "new", "source": "none", "disk_gib": 0, "memory_mib": 2048, "start_now": False}
    address = f"/api/v1/hosts/{guest.host_id}/operations/create"
    answer = client.post(address, json.dumps(body), content_type="application/json")
    assert answer.status_code == 422
    told = "Your quota allows 1 GiB of memory more; you asked for 2 GiB of memory."
    assert answer.json()["errors"] == {"memory_mib": [told]}
