"""Quotas: held exactly however many ask at once; given back when a guest is gone for certain, and not before."""

from __future__ import annotations

import threading
import uuid
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from django.utils import translation

from dashboard.accounts.models import AuditEntry, Quota, User
from dashboard.inventory.models import Guest, Host
from dashboard.jobs import lease, quotas, service
from dashboard.jobs.errors import Invalid
from dashboard.jobs.models import Job, Ownership
from dashboard.jobs.operation import OPERATIONS, Need, Params
from tests.lab import database
from tests.unit.jobs.conftest import Declare

GIB = 1024**3


class Size(Params):
    """A machine to make."""

    name: str
    vcpus: int = 2
    memory_mib: int = 1024
    disk_gib: int = 0


def need(user: User, target: Any, params: Size) -> Need:
    return Need(
        guests=1,
        vcpus=params.vcpus,
        memory_kib=params.memory_mib * 1024,
        disk_bytes=params.disk_gib * GIB,
        fields={"vcpus": "vcpus", "memory_kib": "memory_mib", "disk_bytes": "disk_gib"},
    )


@pytest.fixture
def maker(declare: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "test.make": makes a guest, as far as quotas are concerned. Nobody rings, and no mirror is asked to look."""
    declare_making(declare)
    monkeypatch.setattr("dashboard.jobs.quotas.refresh.ask", lambda *args: None)
    monkeypatch.setattr("dashboard.jobs.quotas._missed", {})


def declare_making(declare: Declare) -> None:
    declare(
        "test.make",
        target="host",
        params=Size,
        permission="guest.create",
        reserve=need,
        plan=lambda host, params: {"uuid": str(uuid.uuid4())},
        lock_for=lambda host, params: f"guest-name:{host.pk}:{params.name}",
    )


def make(user: User, host: Host, name: str = "a", **params: Any) -> Job:
    return service.submit(user=user, operation="test.make", target=host, params={"name": name, **params})


def end(job: Job, state: str, **fields: Any) -> None:
    """As a worker ends it."""
    hold = lease.claim(job.pk, "somebody", threading.Event())
    assert hold is not None
    hold.finish(state, **fields)


def appear(job: Job, **fields: Any) -> Guest:
    """The monitor has seen the guest that the job made."""
    given = {"state": "running", "vcpus_max": 2, "memory_max_kib": 1024 * 1024, **fields}
    return Guest.objects.create(host=job.host, uuid=job.plan["uuid"], name="made", **given)


def compared(host: Host, times: int = 1) -> None:
    """The monitor has compared the host in full, and the reconciler has looked after each."""
    quotas.correct()
    for _ in range(times):
        host.refresh_from_db()
        Host.objects.filter(pk=host.pk).update(generation=host.generation + 1)
        quotas.correct()


pytestmark = pytest.mark.usefixtures("maker")


def test_what_is_asked_counts_from_the_moment_the_job_is_made(operator: User, host: Host) -> None:
    make(operator, host, vcpus=3, memory_mib=2048, disk_gib=20)
    assert quotas.used_by(operator) == quotas.Use(1, 3, 2048 * 1024, 20 * GIB)


@pytest.mark.parametrize(
    ("limits", "params", "field", "text"),
    [
        ({"vcpus": 6}, {"vcpus": 8}, "vcpus", "Your quota allows 4 vCPUs more; you asked for 8 vCPUs."),
        ({"vcpus": 2}, {"vcpus": 1}, "vcpus", "Your quota is used up: 2 vCPUs."),
        ({"guests": 1}, {}, "", "Your quota is used up: 1 virtual machine."),
        (
            {"memory_kib": 2560 * 1024},
            {"memory_mib": 4096},
            "memory_mib",
            "Your quota allows 1.5 GiB of memory more; you asked for 4 GiB of memory.",
        ),
        ({"disk_bytes": 10 * GIB}, {"disk_gib": 11}, "disk_gib", "Your quota allows 10 GiB of disk more; you asked for 11 GiB of disk."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_beside_its_field(
    operator: User, host: Host, limits: dict[str, int], params: dict[str, int], field: str, text: str
) -> None:
    make(operator, host, "first")
    Quota.objects.create(user=operator, **limits)
    with pytest.raises(Invalid) as caught:
        make(operator, host, "second", **params)
    assert caught.value.errors == {field: [text]}
    assert Job.objects.count() == 1
    assert not AuditEntry.objects.filter(object_name="second").exists()


def test_the_members_of_a_group_share_its_quota_beside_their_own(operator: User, host: Host) -> None:
    other = User.objects.create_user("otto", role="operator")
    team = Group.objects.create(name="lab")
    team.user_set.add(operator, other)
    Quota.objects.create(group=team, vcpus=5)
    Quota.objects.create(user=other, guests=1)
    make(operator, host, "one", vcpus=3)
    with pytest.raises(Invalid) as caught:
        make(other, host, "two", vcpus=3)
    assert caught.value.errors == {"vcpus": ["The quota of the group lab allows 2 vCPUs more; you asked for 3 vCPUs."]}
    make(other, host, "two", vcpus=2)
    with pytest.raises(Invalid) as caught:
        make(other, host, "three", vcpus=1)
    assert set(caught.value.errors) == {"", "vcpus"}, "their own quota and the group's"
    assert quotas.used_by(team).vcpus == 5


def test_a_refusal_speaks_the_readers_language(operator: User, host: Host) -> None:
    Quota.objects.create(user=operator, vcpus=1)
    with translation.override("zh-hans"), pytest.raises(Invalid) as caught:
        make(operator, host)
    assert "2" in caught.value.errors["vcpus"][0] and "quota" not in caught.value.errors["vcpus"][0]


def test_the_same_wish_sent_twice_takes_the_quota_once(operator: User, host: Host) -> None:
    Quota.objects.create(user=operator, guests=1)
    wish: dict[str, Any] = {"user": operator, "operation": "test.make", "target": host, "params": {"name": "a"}}
    first = service.submit(**wish, idempotency_key="k")
    assert service.submit(**wish, idempotency_key="k") == first
    assert quotas.used_by(operator).guests == 1


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_job_that_ends_cleaned_gives_everything_back(operator: User, host: Host, state: str) -> None:
    end(make(operator, host), state)
    assert quotas.used_by(operator) == quotas.Use()


def test_a_job_that_is_cancelled_while_it_waits_gives_everything_back(operator: User, host: Host) -> None:
    service.cancel(operator, make(operator, host))
    assert quotas.used_by(operator) == quotas.Use()


def test_a_job_that_needs_attention_keeps_what_it_took_as_long_as_its_guest_is_there(
    operator: User, host: Host
) -> None:
    job = make(operator, host)
    end(job, "needs_attention")
    guest = appear(job)
    compared(host, 5)
    assert quotas.used_by(operator).guests == 1
    guest.delete()
    compared(host, 2)
    assert quotas.used_by(operator).guests == 0


def test_a_new_guest_counts_although_the_mirror_does_not_show_it_yet(operator: User, host: Host) -> None:
    end(make(operator, host), "succeeded")
    compared(host, 1)
    assert quotas.used_by(operator).guests == 1, "that comparison may have begun before the guest was made"


def test_a_guest_deleted_outside_is_given_back_once_two_comparisons_have_not_found_it(
    operator: User, host: Host
) -> None:
    job = make(operator, host)
    end(job, "succeeded")
    guest = appear(job)
    compared(host, 3)
    assert quotas.drift() == []
    guest.delete()
    assert len(quotas.drift()) == 1
    compared(host, 1)
    assert quotas.used_by(operator).guests == 1
    compared(host, 1)
    assert quotas.used_by(operator).guests == 0
    assert quotas.drift() == []


def test_a_guest_that_is_missed_for_a_moment_only_is_kept(operator: User, host: Host) -> None:
    job = make(operator, host)
    end(job, "succeeded")
    compared(host, 1)
    guest = appear(job)
    compared(host, 1)
    guest.delete()
    compared(host, 1)
    assert quotas.used_by(operator).guests == 1, "what was seen before it came back does not count"


def test_guests_of_a_host_that_is_down_still_count(operator: User, host: Host) -> None:
    job = make(operator, host)
    end(job, "succeeded")
    Host.objects.update(status="down")
    compared(host, 5)
    assert quotas.used_by(operator).guests == 1
    assert quotas.drift() == []
    host.delete()
    assert quotas.used_by(operator).guests == 0, "a removed host's guests are nobody's"


def test_a_guest_made_larger_outside_counts_with_its_true_size(operator: User, host: Host) -> None:
    job = make(operator, host)
    end(job, "succeeded")
    guest = appear(job, vcpus_max=6, memory_max_kib=3 * 1024 * 1024)
    assert quotas.used_by(operator) == quotas.Use(1, 6, 3 * 1024 * 1024)
    Guest.objects.filter(pk=guest.pk).update(vcpus_max=1)
    compared(host)
    assert quotas.used_by(operator).vcpus == 2, "it runs: it may be defined larger than it is now"
    Guest.objects.filter(pk=guest.pk).update(state="shutoff")
    assert len(quotas.drift()) == 1
    compared(host)
    assert quotas.used_by(operator).vcpus == 1
    assert quotas.drift() == []


def grow(declare: Declare, **fields: int) -> None:
    wanted = Need(**fields, fields={"vcpus": "vcpus", "disk_bytes": "size"})
    declare("test.grow", reserve=lambda user, guest, params: wanted)


def test_a_change_counts_against_the_owner_and_is_given_back_when_it_fails(
    declare: Declare, operator: User, host: Host
) -> None:
    grow(declare, vcpus=2, disk_bytes=5)
    boss = User.objects.create_user("boss", role="administrator")
    job = make(operator, host)
    end(job, "succeeded")
    guest = appear(job)
    change = service.submit(user=boss, operation="test.grow", target=guest)
    assert quotas.used_by(operator) == quotas.Use(1, 4, 1024 * 1024, 5)
    assert quotas.used_by(boss) == quotas.Use()
    end(change, "failed")
    assert quotas.used_by(operator) == quotas.Use(1, 2, 1024 * 1024, 0)
    end(service.submit(user=boss, operation="test.grow", target=guest), "succeeded")
    assert quotas.used_by(operator).vcpus == 4
    Quota.objects.create(user=operator, vcpus=5)
    with pytest.raises(Invalid) as caught:
        service.submit(user=boss, operation="test.grow", target=guest)
    assert caught.value.errors == {"vcpus": ["The quota of olga allows 1 vCPU more; you asked for 2 vCPUs."]}


def test_a_change_that_makes_smaller_gives_back_only_when_it_has_succeeded(
    declare: Declare, operator: User, host: Host
) -> None:
    grow(declare, vcpus=-1)
    job = make(operator, host)
    end(job, "succeeded")
    guest = appear(job, vcpus_max=1)
    change = service.submit(user=operator, operation="test.grow", target=guest)
    assert quotas.used_by(operator).vcpus == 2
    end(change, "succeeded")
    assert quotas.used_by(operator).vcpus == 1


def test_deleting_a_guest_gives_back_at_once_what_it_had(declare: Declare, operator: User, host: Host) -> None:
    assert OPERATIONS["guest.delete"].reserve(operator, None, None) == Need(guests=-1)
    grow(declare, guests=-1)
    job = make(operator, host)
    end(job, "succeeded")
    delete = service.submit(user=operator, operation="test.grow", target=appear(job))
    assert quotas.used_by(operator).guests == 1
    end(delete, "succeeded")
    assert quotas.used_by(operator) == quotas.Use()


def test_a_guest_that_nobody_owns_concerns_no_quota(declare: Declare, operator: User, guest: Guest) -> None:
    grow(declare, vcpus=64)
    Quota.objects.create(user=operator, vcpus=1)
    assert service.submit(user=operator, operation="test.grow", target=guest).state == "queued"


def test_who_is_over_a_lowered_quota_may_still_do_what_adds_nothing(
    declare: Declare, operator: User, host: Host
) -> None:
    grow(declare, disk_bytes=1)
    job = make(operator, host)
    end(job, "succeeded")
    Quota.objects.create(user=operator, vcpus=1)
    assert service.submit(user=operator, operation="test.grow", target=appear(job)).state == "queued"


def test_a_guest_made_by_kvmweb_that_counts_for_nobody_is_named(operator: User, guest: Guest) -> None:
    made = {"operation": "guest.create", "state": "succeeded", "host": guest.host, "created_by": operator}
    Job.objects.create(**made, result={"uuid": str(guest.uuid)})
    assert len(quotas.drift()) == 1
    quotas.set_owner(actor=operator, guest=guest, owner=operator, disk_bytes=7)
    assert quotas.drift() == []
    assert quotas.used_by(operator).disk_bytes == 7
    quotas.set_owner(actor=operator, guest=guest, owner=None, disk_bytes=7)
    assert quotas.drift() == [], "an administrator wanted it so"
    assert quotas.used_by(operator) == quotas.Use()


def test_guests_made_before_there_were_quotas_count_against_their_makers(operator: User, guest: Guest) -> None:
    made = {
        "operation": "guest.create",
        "host": guest.host,
        "created_by": operator,
        "result": {"uuid": str(guest.uuid)},
    }
    params = {"vcpus": 4, "memory_mib": 2048, "disk_gib": 20, "source": "iso"}
    Job.objects.create(**made, params=params, state="succeeded")
    Job.objects.create(**made, params=params, state="failed")
    Job.objects.create(**{**made, "result": {"uuid": str(uuid.uuid4())}}, params=params, state="succeeded")
    migration = import_module("dashboard.jobs.migrations.0003_owners_of_made_guests")
    migration.owners_of_made_guests(apps, None)
    migration.owners_of_made_guests(apps, None)
    assert quotas.used_by(operator) == quotas.Use(1, 4, 2048 * 1024, 20 * GIB)


def test_the_summary_tells_limits_beside_use(operator: User, host: Host) -> None:
    assert quotas.summary(operator) == []
    team = Group.objects.create(name="lab")
    team.user_set.add(operator)
    Quota.objects.create(user=operator, guests=3, vcpus=8)
    Quota.objects.create(group=team, memory_kib=4 * 1024 * 1024)
    make(operator, host)
    assert quotas.summary(operator) == [
        {"group": None, "limits": {"guests": {"used": 1, "limit": 3}, "vcpus": {"used": 2, "limit": 8}}},
        {"group": "lab", "limits": {"memory_kib": {"used": 1024 * 1024, "limit": 4 * 1024 * 1024}}},
    ]


AT_ONCE = 20


def test_twenty_who_create_at_once_get_exactly_what_the_quota_holds(
    tmp_path: Path, declare: Declare, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a database of its own, as in use: SQLite's file, or PostgreSQL with a connection for each."""
    monkeypatch.setattr("dashboard.jobs.service._announce", lambda job: None)
    with django_db_blocker.unblock(), database.fresh(tmp_path).as_default():
        call_command("migrate", verbosity=0)
        host = Host.objects.create(name="alpha", transport="test", status="live")
        people = [User.objects.create_user(f"p{number}", role="operator") for number in range(2)]
        team = Group.objects.create(name="lab")
        team.user_set.set(people)
        Quota.objects.create(group=team, vcpus=20, memory_kib=100 * GIB)
        Quota.objects.create(user=people[0], guests=100)
        gate, told, most = threading.Barrier(AT_ONCE), [], []

        def one(number: int) -> None:
            gate.wait()
            try:
                make(people[number % 2], host, f"g{number}", vcpus=3)
                told.append("made")
            except Invalid as error:
                told.append(next(iter(error.errors)))
            most.append(quotas.used_by(team).vcpus)
            connection.close()

        threads = [threading.Thread(target=one, args=(number,)) for number in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told) == ["made"] * 6 + ["vcpus"] * (AT_ONCE - 6)
        assert max(most) == 18
        assert Job.objects.count() == Ownership.objects.count() == 6
