"""The start page: what needs attention of what one may see, at a constant price."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.accounts.models import Grant, User
from dashboard.inventory.models import Guest, Host, Pool
from dashboard.jobs.models import Job
from tests.unit.guests.conftest import make_guest, make_host, make_person

GIB = 1024**3


def page(browser: Client) -> str:
    answer = browser.get("/")
    assert answer.status_code == 200, answer.content[:300]
    return answer.content.decode()


def make_pool(host: Host, name: str, used: float) -> Pool:
    size = 100 * GIB
    return Pool.objects.create(
        host=host, uuid=uuid.uuid4(), name=name, kind="dir", state="running", capacity=size,
        allocation=int(size * used), available=int(size * (1 - used)), path=f"/pools/{name}",
    )  # fmt: skip


def make_job(guest: Guest, state: str, **fields: Any) -> Job:
    return Job.objects.create(
        operation=fields.pop("operation", "guest.start"), host=guest.host, host_name=guest.host.name, object_kind="guest",
        object_key=str(guest.uuid), object_name=guest.name, state=state, **fields,
    )  # fmt: skip


def test_when_nothing_is_wrong_it_says_so(browser: Client, host: Host) -> None:
    make_guest(host, "web1", state="running")
    make_guest(host, "web2", state="paused", reason="user")
    make_pool(host, "roomy", 0.84)
    text = page(browser)
    assert "Everything is fine" in text
    assert "roomy" not in text and "web2" not in text
    assert "2 virtual machines" in text and "1 of 1 hosts live" in text


@pytest.mark.parametrize("status", [Host.Status.DOWN, Host.Status.UNTRUSTED])
def test_a_host_that_is_lost_needs_attention(browser: Client, host: Host, status: str) -> None:
    make_host("lost-host", status=status)
    make_host("asleep", status=Host.Status.DISABLED)
    text = page(browser)
    assert "lost-host" in text and "Everything is fine" not in text
    assert "asleep" not in text


def test_guests_that_crashed_or_were_paused_by_a_disk_need_attention(browser: Client, host: Host) -> None:
    make_guest(host, "bang", state="crashed")
    make_guest(host, "full-disk", state="paused", reason="I/O error")
    make_guest(host, "resting", state="paused", reason="user")
    make_guest(make_host("dark", status=Host.Status.DOWN), "who-knows", state="crashed")
    text = page(browser)
    assert "bang" in text and "full-disk" in text
    assert "resting" not in text and "who-knows" not in text


def test_pools_that_are_nearly_full_need_attention(browser: Client, host: Host) -> None:
    make_pool(host, "tight", 0.85)
    make_pool(host, "airy", 0.8)
    text = page(browser)
    assert "tight" in text and "airy" not in text


def test_memory_promised_beyond_what_there_is_needs_attention(browser: Client, host: Host) -> None:
    make_guest(host, "big", state="running", memory_kib=6 * 1024**2)
    assert "promised" not in page(browser)
    make_guest(host, "off", state="shutoff", memory_kib=6 * 1024**2)
    assert "promised" not in page(browser)
    make_guest(host, "big2", state="paused", memory_kib=6 * 1024**2)
    assert "150 % promised" in page(browser)


def test_jobs_that_failed_within_a_day_need_attention(browser: Client, host: Host) -> None:
    guest = make_guest(host, "web1")
    make_job(guest, Job.State.FAILED, error="The disk is gone.")
    old = make_job(make_guest(host, "web2"), Job.State.FAILED)
    Job.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=25))
    done = make_guest(host, "web3")
    make_job(done, Job.State.SUCCEEDED)
    text = page(browser)
    assert "web1" in text and "The disk is gone." in text
    assert "web2" not in text and "web3" not in text


def test_what_failed_and_was_done_since_needs_nobody(browser: Client, host: Host) -> None:
    guest, other = make_guest(host, "tried-again"), make_guest(host, "done-before")
    make_job(other, Job.State.SUCCEEDED)
    make_job(other, Job.State.FAILED, error="Failed afterwards.")
    failed = make_job(guest, Job.State.FAILED, error="The disk is gone.")
    make_job(guest, Job.State.SUCCEEDED, operation="guest.pause")
    text = page(browser)
    assert "The disk is gone." in text and "Failed afterwards." in text
    make_job(guest, Job.State.SUCCEEDED, operation=failed.operation)
    text = page(browser)
    assert "The disk is gone." not in text and "Failed afterwards." in text


def test_of_many_jobs_their_parent_speaks(browser: Client, host: Host) -> None:
    guest = make_guest(host, "child-of-many")
    parent = Job.objects.create(operation="guest.start", object_name="12 machines", state=Job.State.FAILED)
    make_job(guest, Job.State.FAILED, parent=parent)
    text = page(browser)
    assert "12 machines" in text and "child-of-many" not in text


def test_ones_own_last_jobs_are_there(browser: Client, operator: User, host: Host) -> None:
    make_job(make_guest(host, "mine"), Job.State.SUCCEEDED, created_by=operator)
    make_job(make_guest(host, "theirs"), Job.State.SUCCEEDED)
    text = page(browser)
    assert "What you did last" in text
    assert "mine" in text and "theirs" not in text


def test_everybody_sees_what_they_may_see(client: Client, host: Host) -> None:
    other = make_host("other", status=Host.Status.DOWN)
    make_guest(host, "mine", state="crashed")
    make_guest(host, "not-mine", state="crashed")
    make_job(make_guest(host, "failed-not-mine"), Job.State.FAILED)
    make_pool(host, "pool-not-mine", 0.99)
    person = User.objects.create_user("tom")
    client.force_login(person)
    text = page(client)
    assert "You have not been given rights on anything yet" in text
    for hidden in ("mine", "other", "pool-not-mine"):
        assert hidden not in text
    guest = Guest.objects.get(name="mine")
    Grant.objects.create(user=person, role="viewer", place="guest", key=f"{host.pk}/{guest.uuid}")
    text = page(client)
    assert ">mine<" in text and "1 virtual machine" in text
    for hidden in ("not-mine", other.name):
        assert hidden not in text.replace("another", "")


def test_the_price_does_not_grow(browser: Client, host: Host) -> None:
    def fill(number: int) -> None:
        for index in range(number):
            hurt = make_host(f"down{Host.objects.count()}", status=Host.Status.DOWN)
            make_pool(hurt, f"pool{index}", 0.9)
            make_job(make_guest(host, f"bang{Guest.objects.count()}", state="crashed"), Job.State.FAILED)

    counts = []
    for number in (2, 20):
        fill(number)
        page(browser)
        with CaptureQueriesContext(connection) as queries:
            text = page(browser)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 10, counts
    assert text.count("and others") == 4


def test_a_stranger_is_sent_to_sign_in(client: Client, db: None) -> None:
    assert client.get("/").status_code == 302
    assert client.get("/search.json?q=web", headers={"Accept": "application/json"}).status_code == 401


def test_a_viewer_is_not_offered_to_create(watcher: Client, host: Host) -> None:
    assert "data-create" not in page(watcher)


def test_single_keys_can_be_switched_off(client: Client, db: None) -> None:
    person = make_person("viewer")
    client.force_login(person)
    assert 'data-keys="off"' not in page(client)
    client.post("/preferences/", {"language": "", "theme": ""})
    person.refresh_from_db()
    assert not person.shortcuts
    assert 'data-keys="off"' in page(client)
