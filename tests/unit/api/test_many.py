"""The API's changes to many guests at once: one typed route for each operation that is declared for many."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.test import Client

from dashboard.accounts.models import Grant, User
from dashboard.api.urls import api
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def client(db: None) -> Client:
    person = User.objects.create_user("olga", role="operator")
    found = Client()
    found.force_login(person, backend=BACKEND)
    return found


@pytest.fixture
def guests(db: None) -> list[Guest]:
    host = Host.objects.create(name="alpha", transport="test", status="live")
    states = ("shutoff", "shutoff", "running")
    return [
        Guest.objects.create(host=host, uuid=uuid.uuid4(), name=f"web{number}", state=state)
        for number, state in enumerate(states)
    ]


def post(client: Client, verb: str, body: Any, **headers: str) -> Any:
    path = f"/api/v1/guests/operations/{verb}"
    return client.post(path, json.dumps(body), "application/json", headers=headers)


def refs(guests: list[Guest]) -> list[dict[str, Any]]:
    return [{"host": guest.host_id, "uuid": str(guest.uuid)} for guest in guests]


def test_every_operation_for_many_has_a_typed_route() -> None:
    paths = api.get_openapi_schema()["paths"]
    for name, declared in OPERATIONS.items():
        if declared.many is not None:
            route = paths[f"/api/v1/guests/operations/{name.partition('.')[2]}"]["post"]
            assert route["operationId"] == f"{name.replace('.', '_')}_many"
    assert "DeleteManyParams" in json.dumps(api.get_openapi_schema()["components"])


def test_named_guests_become_one_job_whose_children_can_be_listed(client: Client, guests: list[Guest]) -> None:
    answer = post(client, "start", {"guests": refs(guests), "params": {"paused": True}})
    assert answer.status_code == 202
    job = answer.json()
    assert (job["object_kind"], job["state"], job["parent"]) == ("guests", "running", None)
    listed = client.get(f"/api/v1/jobs?parent={job['id']}").json()["items"]
    assert {(row["object_name"], row["state"], row["error_code"]) for row in listed} == {
        ("web0", "queued", ""), ("web1", "queued", ""), ("web2", "failed", "state"),
    }  # fmt: skip
    assert {row["parent"] for row in listed} == {job["id"]}
    assert [row["id"] for row in client.get("/api/v1/jobs").json()["items"]] == [job["id"]]
    assert client.get(f"/api/v1/jobs/{job['id']}").json()["operation"] == "guest.start"


def test_a_search_is_resolved_when_the_job_is_made(client: Client, guests: list[Guest]) -> None:
    job = post(client, "start", {"q": "state:off", "but": refs(guests[:1]), "number": 1}).json()
    assert [child.object_name for child in Job.objects.filter(parent=job["id"])] == ["web1"]


def test_another_number_than_was_confirmed_is_a_conflict_that_says_it(client: Client, guests: list[Guest]) -> None:
    answer = post(client, "start", {"q": "web", "number": 2})
    assert (answer.status_code, answer.json()["code"], answer.json()["number"]) == (409, "another_number", 3)
    assert not Job.objects.exists()


def test_only_those_that_it_fits(client: Client, guests: list[Guest]) -> None:
    job = post(client, "start", {"q": "web", "fitting": True}).json()
    assert Job.objects.filter(parent=job["id"], state="queued").count() == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "guests"),
        ({"q": "nonsense:1"}, "q"),
        ({"guests": [{"host": 0, "uuid": "x"}]}, "guests.0.host"),
        ({"guests": [], "q": ""}, ""),
        ({"q": "", "number": -1}, "number"),
        ({"q": "", "params": {"paused": "maybe"}}, "params.paused"),
        ({"q": "", "colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_used_is_told_by_field(
    client: Client, guests: list[Guest], body: dict[str, Any], field: str
) -> None:
    answer = post(client, "start", body)
    assert answer.status_code == 422, answer.content
    assert field in answer.json()["errors"], answer.json()
    assert not Job.objects.exists()


def test_deleting_many_wants_the_number(client: Client, guests: list[Guest]) -> None:
    assert "number" in post(client, "delete", {"q": "state:off"}).json()["errors"]
    assert post(client, "delete", {"q": "state:off", "number": 2}).status_code == 202


def test_the_same_key_gives_the_same_job(client: Client, guests: list[Guest]) -> None:
    first, again = (post(client, "start", {"q": "web"}, **{"Idempotency-Key": "k"}).json()["id"] for _ in range(2))
    assert first == again


def test_foreign_guests_are_not_there(guests: list[Guest]) -> None:
    person = User.objects.create_user("pat")
    Grant.objects.create(user=person, role="operator", place="guest", key=f"{guests[0].host_id}/{guests[0].uuid}")
    client = Client()
    client.force_login(person, backend=BACKEND)
    job = post(client, "start", {"guests": refs(guests)}).json()
    assert Job.objects.filter(parent=job["id"]).count() == 1
    assert b"web1" not in json.dumps(job).encode()
    assert post(client, "start", {"guests": refs(guests[1:])}).status_code == 409


def test_a_viewer_changes_nothing(guests: list[Guest]) -> None:
    client = Client()
    client.force_login(User.objects.create_user("vic", role="viewer"), backend=BACKEND)
    answer = post(client, "start", {"q": "web"})
    assert (answer.status_code, answer.json()["code"]) == (403, "denied")
    assert not Job.objects.exists()


def test_cancel_and_retry_work_on_the_whole(client: Client, guests: list[Guest]) -> None:
    job = post(client, "start", {"q": "web"}).json()
    cancelled = client.post(f"/api/v1/jobs/{job['id']}/cancel", "{}", "application/json").json()
    assert (cancelled["state"], cancelled["children"]["cancelled"]) == ("cancelled", 2)
    again = client.post(f"/api/v1/jobs/{job['id']}/retry", "{}", "application/json").json()
    assert again["children"] is None or again["children"]["all"] == 3
    assert Job.objects.filter(parent=again["id"]).count() == 3
