"""Lists in parts: nothing twice, nothing left out, whatever is added meanwhile; and no cursor but ours."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, get_args

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from dashboard.accounts.models import Grant, User
from dashboard.api import reads
from dashboard.inventory.models import Guest, Host, Network, Pool, Volume
from dashboard.jobs.models import Job
from tests.unit.api.conftest import client_of


def follow(client: Client, path: str, between: Callable[[], Any] = lambda: None, **query: Any) -> list[Any]:
    """All rows of a list, by the Link header."""
    found: list[Any] = []
    address = f"/api/v1/{path}"
    answer = client.get(address, query)
    while True:
        assert answer.status_code == 200, answer.content
        found += answer.json()["items"]
        if "Link" not in answer:
            assert answer.json()["next"] is None
            return found
        between()
        answer = client.get(answer["Link"].partition(">")[0].removeprefix("<"))


@pytest.fixture
def many(host: Host) -> list[Guest]:
    states = ("running", "shutoff", "paused")
    other = Host.objects.create(name="Beta", transport="test", status="live")
    return Guest.objects.bulk_create(
        Guest(
            host=(host, other)[n % 2], uuid=uuid.uuid4(), name=f"g{n % 4}", state=states[n % 3],
            vcpus=n % 3, memory_kib=1024 * (n % 5), started_at=None if n % 3 else "2026-01-01T00:00:00Z",
        )
        for n in range(23)
    )  # fmt: skip


@pytest.mark.parametrize("sort", get_args(reads.GuestSort))
def test_every_order_shows_every_guest_once(viewer: User, many: list[Guest], sort: str) -> None:
    rows = follow(client_of(viewer), "guests", sort=sort, limit=4)
    assert len(rows) == 23
    assert {row["uuid"] for row in rows} == {str(guest.uuid) for guest in many}
    whole = client_of(viewer).get("/api/v1/guests", {"sort": sort, "limit": 200}).json()["items"]
    assert [row["id"] for row in rows] == [row["id"] for row in whole], "parts come in the order of the whole"


def test_the_other_direction_is_the_same_backwards(viewer: User, many: list[Guest]) -> None:
    client = client_of(viewer)
    there, back = (follow(client, "guests", sort=sort, limit=5) for sort in ("memory", "-memory"))
    assert [row["id"] for row in there] == [row["id"] for row in reversed(back)]


def test_what_is_added_or_goes_meanwhile_shifts_nothing(viewer: User, many: list[Guest]) -> None:
    names = iter(range(1000))

    def meanwhile() -> None:
        Guest.objects.create(host=many[0].host, uuid=uuid.uuid4(), name=f"a{next(names)}", state="running")
        Guest.objects.filter(name="g3").order_by("pk").last().delete()  # type: ignore[union-attr]

    rows = follow(client_of(viewer), "guests", meanwhile, limit=3)
    ids = [row["id"] for row in rows]
    assert len(ids) == len(set(ids))
    kept = {guest.pk for guest in many if Guest.objects.filter(pk=guest.pk).exists()}
    assert kept <= set(ids)


def test_jobs_come_newest_first_though_new_ones_are_made(operator: User) -> None:
    jobs = [Job.objects.create(operation="guest.start", created_by=operator) for _ in range(7)]
    rows = follow(client_of(operator), "jobs", lambda: Job.objects.create(operation="x", created_by=operator), limit=2)
    assert [row["id"] for row in rows] == [str(job.pk) for job in reversed(jobs)]


def test_the_other_lists_come_in_parts_too(viewer: User, host: Host) -> None:
    pool = Pool.objects.create(host=host, uuid=uuid.uuid4(), name="default", state="running")
    for number in range(5):
        Pool.objects.create(host=host, uuid=uuid.uuid4(), name=f"p{number}", state="running")
        Network.objects.create(host=host, uuid=uuid.uuid4(), name=f"n{number}")
        Volume.objects.create(pool=pool, name=f"v{number}", capacity=number % 2)
        Host.objects.create(name=f"h{number}", transport="test")
    client = client_of(viewer)
    assert len(follow(client, "pools", limit=2)) == 6
    assert len(follow(client, "networks", limit=2, sort="-host")) == 5
    assert len(follow(client, "hosts", limit=2, sort="status")) == 6
    assert len(follow(client, f"pools/{pool.uuid}/volumes", limit=2, sort="capacity")) == 5


def test_the_total_is_told_when_asked_for(viewer: User, many: list[Guest]) -> None:
    client = client_of(viewer)
    assert client.get("/api/v1/guests?limit=2").json()["total"] is None
    assert client.get("/api/v1/guests?limit=2&count=1").json()["total"] == 23


def test_a_part_is_one_query_however_many_there_are(
    viewer: User, many: list[Guest], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = client_of(viewer)
    client.get("/api/v1/guests")
    with django_assert_max_num_queries(10) as counted:
        client.get("/api/v1/guests?limit=1")
    with django_assert_max_num_queries(len(counted)):
        client.get("/api/v1/guests?limit=200")


@pytest.mark.parametrize("cursor", ["x", "W10:abc", "a" * 2048, ":", "é", "W251bGxd"])
def test_a_cursor_that_is_none_of_ours_is_refused_by_name(viewer: User, many: list[Guest], cursor: str) -> None:
    answer = client_of(viewer).get("/api/v1/guests", {"cursor": cursor})
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == ["cursor"]


def test_a_cursor_of_another_list_or_order_is_refused(viewer: User, many: list[Guest]) -> None:
    client = client_of(viewer)
    cursor = client.get("/api/v1/guests?limit=2").json()["next"]
    assert client.get("/api/v1/guests", {"cursor": cursor}).status_code == 200
    for path, query in (("guests", {"sort": "-name"}), ("hosts", {}), ("networks", {})):
        assert client.get(f"/api/v1/{path}", {"cursor": cursor, **query}).status_code == 422


def test_every_list_shows_only_what_was_granted(host: Host) -> None:
    """The right is held on one host; the other's things are in no list, and alone they are 404."""
    other = Host.objects.create(name="beta", transport="test", status="live")
    person = User.objects.create_user("nora")
    Grant.objects.create(user=person, role="viewer", place="host", key=str(host.pk))
    client = client_of(person)
    for place in (host, other):
        pool = Pool.objects.create(host=place, uuid=uuid.uuid4(), name="p", state="running")
        network = Network.objects.create(host=place, uuid=uuid.uuid4(), name="n")
        guest = Guest.objects.create(host=place, uuid=uuid.uuid4(), name="g", state="running")
        status = 200 if place == host else 404
        paths = [f"hosts/{place.pk}", f"pools/{pool.uuid}", f"pools/{pool.uuid}/volumes", f"networks/{network.uuid}"]
        paths += [f"guests/{guest.uuid}{more}" for more in ("", "/stats", "/history")]
        assert {path: client.get(f"/api/v1/{path}").status_code for path in paths} == dict.fromkeys(paths, status)
    for path in ("hosts", "guests", "pools", "networks"):
        answer = client.get(f"/api/v1/{path}?count=1").json()
        assert (len(answer["items"]), answer["total"]) == (1, 1), path
