"""The addresses of jobs: submitting, seeing, cancelling, repeating; who sees whose."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from dashboard.accounts.models import User
from dashboard.inventory.models import Guest, Host
from dashboard.jobs import service
from dashboard.jobs.models import Job
from tests.unit.jobs.conftest import Declare, Sized


@pytest.fixture(autouse=True)
def _plain_statics(settings: Any) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


def client_of(user: User) -> Client:
    client = Client(HTTP_HOST="127.0.0.1")
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def post(user: User, name: str, body: dict[str, Any], **headers: str) -> Any:
    return client_of(user).post(f"/operations/{name}/", json.dumps(body), "application/json", headers=headers)


def test_a_wish_in_json_is_accepted_with_the_job(declare: Declare, operator: User, guest: Guest) -> None:
    declare(params=Sized)
    answer = post(
        operator, "test.do", {"kind": "guest", "key": str(guest.uuid), "host": guest.host_id, "params": {"name": "a"}}
    )
    assert answer.status_code == 202
    row = answer.json()["job"]
    assert row["state"] == "queued"
    assert row["steps"] == ["First step", "Second step"]
    assert row["url"] == f"/jobs/{row['id']}/"
    assert Job.objects.get().source_ip == "127.0.0.1"


def test_a_wish_in_a_form_is_accepted_too(declare: Declare, operator: User, guest: Guest) -> None:
    declare(params=Sized)
    answer = client_of(operator).post(
        "/operations/test.do/", {"kind": "guest", "key": guest.uuid, "name": "a", "size": "2", "tags": ["x", "y"]}
    )
    assert answer.status_code == 202
    assert Job.objects.get().params == {"name": "a", "size": 2, "tags": ["x", "y"]}


def test_errors_by_field_come_as_400(declare: Declare, operator: User, guest: Guest) -> None:
    declare(params=Sized)
    answer = post(operator, "test.do", {"kind": "guest", "key": str(guest.uuid), "params": {}})
    assert answer.status_code == 400
    assert answer.json()["errors"] == {"name": ["This field is required."]}


@pytest.mark.parametrize("body", ["[]", "{", '{"params": 3}'])
def test_nonsense_is_a_400(declare: Declare, operator: User, body: str) -> None:
    declare()
    assert client_of(operator).post("/operations/test.do/", body, "application/json").status_code == 400


def test_a_lock_comes_as_409_with_the_job_in_the_way(declare: Declare, operator: User, guest: Guest) -> None:
    declare()
    first = post(operator, "test.do", {"key": str(guest.uuid)}).json()["job"]
    answer = post(operator, "test.do", {"key": str(guest.uuid)})
    assert answer.status_code == 409
    assert answer.json()["job"]["id"] == first["id"]


def test_a_refusal_comes_as_409_with_the_reason(declare: Declare, operator: User, guest: Guest) -> None:
    declare(refuse=lambda target, params: "It is off.")
    answer = post(operator, "test.do", {"key": str(guest.uuid)})
    assert (answer.status_code, answer.json()["error"]) == (409, "It is off.")


def test_what_one_may_not_do_is_a_403(declare: Declare, viewer: User, guest: Guest) -> None:
    declare()
    assert post(viewer, "test.do", {"key": str(guest.uuid)}).status_code == 403


@pytest.mark.parametrize("key", ["00000000-0000-4000-8000-000000000000", "not-a-uuid", "", "1"])
def test_an_object_that_is_not_there_is_a_404(declare: Declare, operator: User, guest: Guest, key: str) -> None:
    declare()
    assert post(operator, "test.do", {"kind": "guest", "key": key}).status_code == 404


def test_an_operation_that_is_not_there_is_a_404(operator: User) -> None:
    assert post(operator, "guest.explode", {}).status_code == 404


def test_the_wrong_kind_of_object_is_a_404(declare: Declare, operator: User, host: Host) -> None:
    declare()
    assert post(operator, "test.do", {"kind": "host", "key": str(host.pk)}).status_code == 404


def test_the_same_key_twice_is_the_same_job(declare: Declare, operator: User, guest: Guest) -> None:
    declare()
    headers = {"Idempotency-Key": "abc"}
    first = post(operator, "test.do", {"key": str(guest.uuid)}, **headers).json()["job"]["id"]
    assert post(operator, "test.do", {"key": str(guest.uuid)}, **headers).json()["job"]["id"] == first


def test_two_hosts_with_the_same_guest_must_be_told_apart(declare: Declare, operator: User, guest: Guest) -> None:
    declare()
    other = Host.objects.create(name="beta", transport="test", status="live")
    Guest.objects.create(host=other, uuid=guest.uuid, name="web1", state="shutoff")
    assert post(operator, "test.do", {"key": str(guest.uuid)}).status_code == 404
    assert post(operator, "test.do", {"key": str(guest.uuid), "host": other.pk}).status_code == 202
    assert Job.objects.get().host == other


def test_a_viewer_sees_only_their_own_jobs(declare: Declare, operator: User, viewer: User, guest: Guest) -> None:
    declare()
    job = service.submit(user=operator, operation="test.do", target=guest)
    assert client_of(operator).get(f"/jobs/{job.pk}/").status_code == 200
    assert client_of(viewer).get(f"/jobs/{job.pk}/").status_code == 404
    assert client_of(viewer).post(f"/jobs/{job.pk}/cancel/").status_code == 404
    assert client_of(viewer).get("/jobs/recent.json").json() == {"jobs": []}
    assert b"web1" not in client_of(viewer).get("/jobs/").content
    assert b"web1" in client_of(operator).get("/jobs/").content


def test_the_list_is_filtered_by_state_host_and_name(declare: Declare, operator: User, guest: Guest) -> None:
    declare(locks=False)
    for state in ("queued", "failed", "succeeded"):
        job = service.submit(user=operator, operation="test.do", target=guest)
        Job.objects.filter(pk=job.pk).update(state=state, object_name=f"vm-{state}")
    client = client_of(operator)

    def shown(query: str) -> set[str]:
        return {item["row"]["object_name"] for item in client.get(f"/jobs/{query}").context["items"]}

    assert shown("") == {"vm-queued", "vm-failed", "vm-succeeded"}
    assert shown("?state=active") == {"vm-queued"}
    assert shown("?state=failed") == {"vm-failed"}
    assert shown("?search=succ") == {"vm-succeeded"}
    assert shown(f"?host={guest.host_id}&state=failed") == {"vm-failed"}
    assert shown("?host=999") == set()
    assert shown("?host=x&state=nonsense&page=99") == {"vm-queued", "vm-failed", "vm-succeeded"}


def test_the_list_costs_the_same_for_one_and_for_fifty(
    declare: Declare, operator: User, guest: Guest, django_assert_max_num_queries: Any
) -> None:
    declare(locks=False)
    client = client_of(operator)
    for _ in range(60):
        service.submit(user=operator, operation="test.do", target=guest)
    client.get("/jobs/")  # notes that the session is in use, once a minute
    with django_assert_max_num_queries(7):
        assert len(client.get("/jobs/").context["items"]) == 50


def test_the_page_of_a_failed_job_says_what_libvirt_said_and_what_is_left(
    declare: Declare, operator: User, guest: Guest
) -> None:
    declare()
    job = service.submit(user=operator, operation="test.do", target=guest)
    job.lines.create(text="Made volume %(name)s", values={"name": "<b>disk</b>"})
    Job.objects.update(
        state="needs_attention", step=1, error="The host refused it.", error_detail="error: 27 <x>", error_code="invalid",
        leftovers=[["The volume %(name)s", {"name": "web1.qcow2"}]],
    )  # fmt: skip
    page = client_of(operator).get(f"/jobs/{job.pk}/").content.decode()
    for text in ("The host refused it.", "error: 27 &lt;x&gt;", "The volume web1.qcow2", "virsh test web1",
                 "Made volume &lt;b&gt;disk&lt;/b&gt;", "Try again"):  # fmt: skip
        assert text in page
    assert f"/jobs/{job.pk}/cancel/" not in page


def test_a_waiting_job_is_cancelled_from_its_page_and_repeated(declare: Declare, operator: User, guest: Guest) -> None:
    declare()
    job = service.submit(user=operator, operation="test.do", target=guest)
    client = client_of(operator)
    answer = client.post(f"/jobs/{job.pk}/cancel/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer["Location"]) == (302, f"/jobs/{job.pk}/")
    assert client.post(f"/jobs/{job.pk}/cancel/", headers={"Accept": "text/html"}).status_code == 409
    assert client.post(f"/jobs/{job.pk}/cancel/", headers={"Accept": "application/json"}).status_code == 409
    again = client.post(f"/jobs/{job.pk}/retry/", headers={"Accept": "application/json"})
    assert again.status_code == 202
    assert again.json()["job"]["id"] != str(job.pk)


def test_a_get_changes_nothing(declare: Declare, operator: User, guest: Guest) -> None:
    declare()
    job = service.submit(user=operator, operation="test.do", target=guest)
    for path in ("/operations/test.do/", f"/jobs/{job.pk}/cancel/", f"/jobs/{job.pk}/retry/"):
        assert client_of(operator).get(path).status_code == 405
