"""The REST face: what it shows to whom, what it takes, and how it says no."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.http import Http404
from django.test import Client

from dashboard.accounts import tokens
from dashboard.accounts.models import Role, User
from dashboard.api import reads_jobs, schemas
from dashboard.api.urls import api
from dashboard.inventory import rows
from dashboard.inventory.models import Guest, Host, Network, Pool
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS
from dashboard.jobs.rows import job_row
from tests.unit.api.conftest import Script, client_of


def start(client: Client, guest: Guest, body: Any = None, query: str = "", **headers: str) -> Any:
    path = f"/api/v1/guests/{guest.uuid}/operations/start{query}"
    return client.post(path, json.dumps({} if body is None else body), "application/json", headers=headers)


def test_every_operation_has_a_typed_route() -> None:
    described = api.get_openapi_schema()
    routes = {method["operationId"] for methods in described["paths"].values() for method in methods.values()}
    assert {name.replace(".", "_") for name in OPERATIONS} <= routes
    start_it = described["paths"]["/api/v1/guests/{key}/operations/start"]["post"]
    assert "StartParams" in json.dumps(start_it["requestBody"])
    assert start_it["responses"]["409"] == {"$ref": "#/components/responses/Problem409"}
    assert list(described["components"]["responses"]["Problem409"]["content"]) == ["application/problem+json"]


def test_the_schemas_are_the_rows(guest: Guest) -> None:
    """A row that gains a member must gain it in the API too."""
    pool = Pool.objects.create(host=guest.host, uuid=uuid.uuid4(), name="default", state="running")
    network = Network.objects.create(host=guest.host, uuid=uuid.uuid4(), name="default")
    job = Job.objects.create(operation="guest.start")
    for schema, row in (
        (schemas.GuestOut, rows.guest_row(guest)),
        (schemas.HostOut, rows.host_row(guest.host)),
        (schemas.PoolOut, rows.pool_row(pool)),
        (schemas.NetworkOut, rows.network_row(network)),
        (schemas.JobOut, job_row(job)),
    ):
        assert set(schema.model_fields) == set(row), schema


def test_a_stranger_sees_nothing(guest: Guest) -> None:
    for path in ("guests", "hosts", "jobs", "openapi.json", f"guests/{guest.uuid}"):
        answer = Client(HTTP_HOST="127.0.0.1").get(f"/api/v1/{path}")
        assert answer.status_code == 401, path
        assert answer["Content-Type"] == "application/problem+json"


def test_guests_are_listed_searched_and_paged(viewer: User, guest: Guest) -> None:
    Guest.objects.bulk_create(
        Guest(host=guest.host, uuid=uuid.uuid4(), name=f"db{number}", state="running") for number in range(60)
    )
    client = client_of(viewer)
    listed = client.get("/api/v1/guests?count=1").json()
    assert (listed["total"], len(listed["items"])) == (61, 50)
    rest = client.get("/api/v1/guests", {"cursor": listed["next"]}).json()
    assert (len(rest["items"]), rest["next"], rest["total"]) == (11, None, None)
    assert [row["name"] for row in client.get("/api/v1/guests?q=web").json()["items"]] == ["web1"]


def test_the_other_lists_answer_too(viewer: User, guest: Guest) -> None:
    Pool.objects.create(host=guest.host, uuid=uuid.uuid4(), name="default", state="running")
    Network.objects.create(host=guest.host, uuid=uuid.uuid4(), name="default", active=True)
    client = client_of(viewer)
    for path in ("hosts", "pools", "networks"):
        assert len(client.get(f"/api/v1/{path}").json()["items"]) == 1
    assert client.get(f"/api/v1/hosts/{guest.host_id}").json()["name"] == "alpha"
    assert client.get(f"/api/v1/guests/{guest.uuid}").json()["name"] == "web1"
    assert client.get("/api/v1/jobs").json()["items"] == []


def test_what_is_not_there_is_a_problem(viewer: User, guest: Guest) -> None:
    client = client_of(viewer)
    for path in (f"guests/{uuid.uuid4()}", f"jobs/{uuid.uuid4()}", "hosts/99"):
        answer = client.get(f"/api/v1/{path}")
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_a_guest_on_two_hosts_must_be_told_apart(operator: User, guest: Guest) -> None:
    other = Host.objects.create(name="beta", transport="test", status="live")
    Guest.objects.create(host=other, uuid=guest.uuid, name="web1", state="shutoff")
    client = client_of(operator)
    assert client.get(f"/api/v1/guests/{guest.uuid}").status_code == 409
    assert start(client, guest).json()["code"] == "ambiguous"
    assert client.get(f"/api/v1/guests/{guest.uuid}?host={other.pk}").json()["host"] == other.pk
    assert start(client, guest, query=f"?host={other.pk}").status_code == 202


def test_an_operation_is_accepted_with_its_job(operator: User, guest: Guest) -> None:
    client = client_of(operator)
    answer = start(client, guest, {"paused": True}, **{"Idempotency-Key": "k1"})
    assert answer.status_code == 202
    job = Job.objects.get()
    assert (answer.json()["id"], job.params, job.idempotency_key) == (str(job.pk), {"paused": True}, "k1")
    assert start(client, guest, {"paused": True}, **{"Idempotency-Key": "k1"}).json()["id"] == str(job.pk)
    shown = client.get(f"/api/v1/jobs/{job.pk}").json()
    assert (shown["state"], shown["lines"]) == ("queued", [])


def test_a_body_may_be_left_out_where_nothing_is_required(operator: User, guest: Guest) -> None:
    answer = client_of(operator).generic("POST", f"/api/v1/guests/{guest.uuid}/operations/start")
    assert answer.status_code == 202


def test_a_wrong_body_is_told_field_by_field(operator: User, guest: Guest) -> None:
    answer = start(client_of(operator), guest, {"paused": "maybe", "colour": "red"})
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    assert answer.json()["errors"] == {"paused": ["Choose yes or no."], "colour": ["There is no such field."]}


def test_a_lock_is_a_409_with_the_job_in_the_way(operator: User, guest: Guest) -> None:
    client = client_of(operator)
    first = start(client, guest).json()
    second = start(client, guest)
    assert second.status_code == 409
    assert second.json()["job"]["id"] == first["id"]


def test_a_job_that_one_may_not_see_is_not_told_because_it_is_in_the_way(operator: User, guest: Guest) -> None:
    Role.objects.create(slug="power", permissions=["guest.view", "guest.power"])
    client = client_of(User.objects.create_user("pia", role="power"))
    start(client_of(operator), guest)
    answer = start(client, guest)
    assert answer.status_code == 409 and "olga" not in answer.content.decode() and "job" not in answer.json()
    body = {"kind": "guest", "key": str(guest.uuid), "params": {}}
    by_page = client.post("/operations/guest.start/", body, "application/json")
    assert by_page.status_code == 409 and "olga" not in by_page.content.decode()


def test_a_key_tells_a_narrow_token_of_no_job_that_it_does_not_see(operator: User, guest: Guest) -> None:
    first = start(client_of(operator), guest, **{"Idempotency-Key": "nightly"})
    assert first.status_code == 202
    narrow = Script(operator, role="viewer", place="tag", key="web")
    again = start(narrow, guest, **{"Idempotency-Key": "nightly"})
    assert again.status_code == 422 and first.json()["id"] not in again.content.decode()


def test_a_refusal_is_a_409_with_the_reason(operator: User, guest: Guest) -> None:
    Guest.objects.update(state="running")
    answer = start(client_of(operator), guest)
    assert (answer.status_code, answer.json()["detail"]) == (409, "It is running already.")


def test_a_viewer_may_read_but_not_change(viewer: User, guest: Guest) -> None:
    answer = start(client_of(viewer), guest)
    assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    assert not Job.objects.exists()


def test_a_post_from_another_site_is_refused(operator: User, guest: Guest) -> None:
    answer = start(client_of(operator, enforce_csrf_checks=True), guest)
    assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    assert answer.json()["code"] == "csrf"
    assert not Job.objects.exists()


def test_jobs_are_cancelled_and_repeated(operator: User, guest: Guest) -> None:
    client = client_of(operator)
    job = start(client, guest).json()
    assert client.generic("POST", f"/api/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert client.generic("POST", f"/api/v1/jobs/{job['id']}/cancel").status_code == 409
    again = client.generic("POST", f"/api/v1/jobs/{job['id']}/retry")
    assert again.status_code == 202
    assert again.json()["id"] != job["id"]


def test_a_viewer_sees_no_job_of_others(operator: User, viewer: User, guest: Guest) -> None:
    job = start(client_of(operator), guest).json()
    client = client_of(viewer)
    assert client.get("/api/v1/jobs").json()["items"] == []
    assert client.get(f"/api/v1/jobs/{job['id']}").status_code == 404
    assert client.generic("POST", f"/api/v1/jobs/{job['id']}/cancel").status_code == 404


def test_who_waits_with_a_token_that_is_revoked_meanwhile_gets_nothing(operator: User, guest: Guest) -> None:
    job = Job.objects.create(operation="guest.start", created_by=operator, state="running")
    script = Script(operator)
    person = tokens.authenticate(script.text)
    assert person is not None and reads_jobs._is_active(person, job.pk)
    tokens.revoke(script.token, actor=operator)
    assert not reads_jobs._is_active(person, job.pk)
    with pytest.raises(Http404):
        reads_jobs._detail(person, job.pk)
