"""Deleting a guest never takes a disk that a guest of another host has: on shared storage, or after a migration."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.accounts.models import Grant, User
from dashboard.guests.disks import disks_of
from dashboard.inventory.models import Guest, Host, Pool, Volume
from tests.unit.guests.conftest import FACTS, make_guest, make_host

PATH = "/srv/images/web1.qcow2"
DISK: dict[str, Any] = {"target": "vda", "bus": "virtio", "device": "disk", "source": PATH, "format": "qcow2"}


def pool_of(host: Host, kind: str) -> Pool:
    pool = Pool.objects.create(
        host=host, uuid=f"00000000-0000-4000-8000-{host.pk:012d}", name="images", kind=kind, state="running"
    )
    Volume.objects.create(pool=pool, name="web1.qcow2", path=PATH, format="qcow2", kind="file")
    return pool


def with_disk(host: Host, name: str, **fields: Any) -> Guest:
    facts = {**FACTS, "disks": [DISK]}
    return make_guest(
        host, name, state="shutoff", facts=facts, xml=f"<domain><source file='{PATH}'/></domain>", **fields
    )


def test_a_disk_on_shared_storage_stays_when_a_guest_of_another_host_has_it(host: Host) -> None:
    other = make_host("kvm2")
    pool_of(host, "netfs")
    guest = with_disk(host, "web1")
    assert disks_of(guest)[0].stays == ""
    with_disk(other, "copy")
    assert "copy" in disks_of(guest)[0].stays


def test_the_same_path_on_another_hosts_own_disk_is_another_file(host: Host) -> None:
    pool_of(host, "dir")
    guest = with_disk(host, "web1")
    with_disk(make_host("kvm2"), "stranger")
    assert disks_of(guest)[0].stays == ""


@pytest.mark.parametrize("kind", ["dir", "netfs"])
def test_what_a_migration_left_behind_does_not_take_the_running_guests_disk_along(host: Host, kind: str) -> None:
    pool_of(host, kind)
    left = with_disk(host, "web1")
    with_disk(make_host("kvm2"), "web1", uuid=left.uuid)
    assert "kvm2" in disks_of(left)[0].stays


def test_a_guest_that_one_may_not_see_is_not_named(host: Host) -> None:
    pool_of(host, "dir")
    guest = with_disk(host, "web1")
    with_disk(host, "secret-project")
    with_disk(make_host("kvm2"), "secret-twin", uuid=guest.uuid)
    ben = User.objects.create_user("ben")
    Grant.objects.create(user=ben, role="operator", place="guest", key=f"{host.pk}/{guest.uuid}")
    (told,) = [disk.stays for disk in disks_of(guest, ben)]
    assert "secret" not in told and "kvm2" not in told and "a machine that you may not see" in told
    boss = User.objects.create_user("boss", role="administrator")
    assert "secret-project" in disks_of(guest, boss)[0].stays
