"""The box that jumps to anything: what it finds, for whom, and at what price."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dashboard.accounts.models import Grant, User
from dashboard.inventory.models import Host, Network, Pool, Volume
from dashboard.jobs.models import Job
from tests.unit.guests.conftest import make_guest, make_host

KEY = uuid.UUID("abcdef01-2345-4000-8000-000000000001")


@pytest.fixture
def things(host: Host) -> Host:
    """One of everything, all with "shop" in them."""
    Host.objects.filter(pk=host.pk).update(address="192.0.2.1", hostname="shop.example")
    addresses = [{"ip": "192.0.2.77", "prefix": 24, "mac": "52:54:00:00:00:01", "source": "lease"}]
    guest = make_guest(host, "web1", title="The shop", uuid=KEY, addresses=addresses)
    pool = Pool.objects.create(host=host, uuid=uuid.uuid4(), name="shop-pool", state="running", path="/srv")
    Volume.objects.create(pool=pool, name="shop.qcow2", path="/srv/shop.qcow2")
    Network.objects.create(host=host, uuid=uuid.uuid4(), name="shop-net")
    Job.objects.create(operation="guest.start", host=host, object_kind="guest", object_key=str(guest.uuid),
                       object_name="shop job", state="failed")  # fmt: skip
    return host


def found(browser: Client, q: str) -> dict[str, list[str]]:
    answer = browser.get("/search.json", {"q": q})
    assert answer.status_code == 200
    groups: list[dict[str, Any]] = answer.json()["groups"]
    return {group["name"]: [item["label"] for item in group["items"]] for group in groups}


def test_it_finds_every_kind_of_object(browser: Client, things: Host) -> None:
    assert found(browser, "SHOP") == {
        "Virtual machines": ["web1"],
        "Hosts": ["kvm1"],
        "Storage": ["shop-pool", "shop.qcow2"],
        "Networks": ["shop-net"],
        "Jobs": ["Start shop job"],
    }


@pytest.mark.parametrize("q", ["192.0.2.77", "abcdef01", "ABCDEF01-2345", str(KEY), "web1", "the shop"])
def test_a_guest_is_found_by_name_title_uuid_and_address(browser: Client, things: Host, q: str) -> None:
    assert found(browser, q)["Virtual machines"] == ["web1"]


def test_every_address_that_it_gives_is_a_page(browser: Client, things: Host) -> None:
    for q in ("shop", "a", "e"):
        for group in browser.get("/search.json", {"q": q}).json()["groups"]:
            for item in group["items"]:
                assert browser.get(item["href"]).status_code == 200, item


def test_what_begins_with_the_word_comes_first(browser: Client, host: Host) -> None:
    for name in ("a-web", "web-b", "web", "zweb"):
        make_guest(host, name)
    assert found(browser, "web")["Virtual machines"] == ["web", "web-b", "a-web", "zweb"]


def test_pages_are_found_by_those_who_may_open_them(browser: Client, watcher: Client, db: None) -> None:
    assert found(browser, "create virtual")["Pages"] == ["Create virtual machine"]
    assert "Pages" not in found(watcher, "create virtual")
    assert "Pages" not in found(browser, "audit log")


@pytest.mark.parametrize("q", ["", "   ", "%", "_", "\\", "x" * 5000, "'; --", "%00"])
def test_odd_questions_find_nothing_and_break_nothing(browser: Client, things: Host, q: str) -> None:
    assert found(browser, q) == {}


def test_it_shows_nobody_what_they_may_not_see(client: Client, things: Host) -> None:
    person = User.objects.create_user("tom")
    client.force_login(person)
    for q in ("shop", "192.0.2", "abcdef01", str(KEY)):
        assert found(client, q) == {}
    Grant.objects.create(user=person, role="viewer", place="guest", key=f"{things.pk}/{KEY}")
    assert found(client, "shop") == {"Virtual machines": ["web1"]}


def test_the_price_is_some_queries_whatever_there_is(browser: Client, things: Host) -> None:
    found(browser, "web")
    with CaptureQueriesContext(connection) as few:
        found(browser, "web")
    for number in range(30):
        make_guest(make_host(f"web-host-{number}"), f"web-{number}")
    with CaptureQueriesContext(connection) as many:
        assert len(found(browser, "web")["Virtual machines"]) == 6
    assert len(few) == len(many) <= 10
