"""The doors of the API: tokens and sessions, what every answer carries, and how it says no to what it cannot read."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.accounts import tokens
from dashboard.accounts.models import ApiToken, Grant, User
from dashboard.api.door import LARGEST_BODY, MOST_FAILURES
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.models import Job
from tests.unit.api.conftest import Script, client_of

PROBLEM = "application/problem+json"


def bearer(text: str, **more: Any) -> Client:
    return Client(HTTP_HOST="127.0.0.1", HTTP_AUTHORIZATION=f"Bearer {text}", **more)


def said(answer: Any) -> tuple[int, str]:
    assert answer["Content-Type"] == PROBLEM, answer.content
    body = answer.json()
    assert (body["status"], body["type"]) == (answer.status_code, "about:blank")
    assert body["detail"] and body["title"]
    return answer.status_code, body["code"]


def test_a_token_opens_what_its_owner_and_its_scope_both_allow(operator: User, guest: Guest) -> None:
    assert Script(operator).get("/api/v1/guests").json()["items"][0]["name"] == "web1"
    looking = Script(operator, role="viewer")
    assert looking.get("/api/v1/guests").json()["items"]
    refused = looking.post(f"/api/v1/guests/{guest.uuid}/operations/start", "{}", "application/json")
    assert said(refused) == (403, "denied")
    elsewhere = Script(operator, place="host", key="999")
    assert elsewhere.get("/api/v1/guests").json()["items"] == []
    assert said(elsewhere.get(f"/api/v1/guests/{guest.uuid}")) == (404, "not_found")


def test_a_token_needs_no_csrf_token_and_its_job_remembers_it(operator: User, guest: Guest) -> None:
    script = Script(operator)
    script.handler.enforce_csrf_checks = True
    answer = script.post(f"/api/v1/guests/{guest.uuid}/operations/start", "{}", "application/json")
    assert answer.status_code == 202
    job = Job.objects.get()
    assert (job.token, answer["Location"]) == (script.token, f"/api/v1/jobs/{job.pk}")


@pytest.mark.parametrize("text", ["", "kvm_nonsense", "kvm_" + "x" * 5000, "ä", "a b"])
def test_a_token_that_nobody_made_is_401_whatever_cookies_come_beside_it(
    counted: None, operator: User, text: str
) -> None:
    client = client_of(operator, HTTP_AUTHORIZATION=f"Bearer {text}".encode().decode("latin-1"))
    answer = client.get("/api/v1/guests")
    assert said(answer) == (401, "unauthenticated")
    assert answer["WWW-Authenticate"].startswith("Bearer ")
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


def test_another_way_to_sign_in_is_none(counted: None, operator: User) -> None:
    client = client_of(operator, HTTP_AUTHORIZATION="Basic b2xnYTp4")
    assert said(client.get("/api/v1/me")) == (401, "unauthenticated")


def test_beside_a_token_the_cookies_are_nobodys(counted: None, operator: User, viewer: User) -> None:
    script = Script(viewer)
    script.cookies = client_of(operator).cookies
    answer = script.get("/api/v1/me")
    assert answer.json()["username"] == "vic"
    assert not answer.wsgi_request.COOKIES, "nothing behind the door can read them"
    script.defaults["HTTP_AUTHORIZATION"] = "Bearer kvm_none"
    assert script.get("/api/v1/me").status_code == 401


def test_without_either_the_way_in_is_told(db: None) -> None:
    answer = Client(HTTP_HOST="127.0.0.1").get("/api/v1/guests")
    assert said(answer) == (401, "unauthenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="kvmweb"'


def test_a_token_ends_by_revocation_by_time_and_with_its_owner(counted: None, operator: User) -> None:
    one, two, three = Script(operator), Script(operator), Script(operator)
    tokens.revoke(one.token, actor=operator)
    ApiToken.objects.filter(pk=two.token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert [script.get("/api/v1/me").status_code for script in (one, two, three)] == [401, 401, 200]
    User.objects.update(is_active=False)
    assert three.get("/api/v1/me").status_code == 401


def test_too_many_wrong_tokens_are_told_so_while_right_ones_go_on(counted: None, operator: User) -> None:
    wrong, right = bearer("kvm_no"), Script(operator)
    answers = [wrong.get("/api/v1/me") for _ in range(MOST_FAILURES + 1)]
    assert {answer.status_code for answer in answers[:-1]} == {401}
    assert said(answers[-1]) == (429, "too_many")
    assert int(answers[-1]["Retry-After"]) > 0
    assert right.get("/api/v1/me").status_code == 200
    elsewhere = bearer("kvm_no", HTTP_X_FORWARDED_FOR="198.51.100.7")
    assert elsewhere.get("/api/v1/me").status_code == 401, "another address is another matter"


def test_a_token_opens_no_page(operator: User) -> None:
    answer = Script(operator).get("/", follow=False)
    assert answer.status_code in (302, 401, 403)


def test_what_has_not_changed_is_not_sent_again(viewer: User, guest: Guest) -> None:
    client = client_of(viewer)
    for path in ("guests", f"guests/{guest.uuid}", "hosts", "jobs", "operations", "me", "openapi.json"):
        first = client.get(f"/api/v1/{path}")
        assert first["Cache-Control"] == "private, no-cache"
        assert {"Authorization", "Cookie"} <= {name.strip() for name in first["Vary"].split(",")}
        again = client.get(f"/api/v1/{path}", headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"]), path
    was = client.get(f"/api/v1/guests/{guest.uuid}")["ETag"]
    Host.objects.update(status="down")  # the guest's own row in the database is as before
    changed = client.get(f"/api/v1/guests/{guest.uuid}", headers={"If-None-Match": was})
    assert (changed.status_code, changed.json()["state"]) == (200, "unknown")


def test_answers_that_say_no_are_not_kept(db: None, viewer: User) -> None:
    assert client_of(viewer).get("/api/v1/hosts/77")["Cache-Control"] == "no-store"


def test_every_way_to_fail_is_a_problem(operator: User, guest: Guest, settings: Any) -> None:
    client = client_of(operator)
    start = f"/api/v1/guests/{guest.uuid}/operations/start"
    assert said(client.get("/api/v1/nowhere")) == (404, "not_found")
    assert said(client.get("/api/v1/guests/no-uuid")) == (404, "not_found")
    method = client.delete("/api/v1/guests")
    assert said(method) == (405, "method_not_allowed")
    assert method["Allow"] == "GET"
    assert said(client.post(start, "{", "application/json")) == (400, "malformed")
    assert said(client.post(start, '{"paused": NaN}', "application/json")) == (400, "malformed")
    assert said(client.post(start, b'{"paused": "\\ud800"}', "application/json")) == (400, "malformed")
    assert said(client.post(start, '"\\u0000"', "application/json")) == (400, "malformed")
    assert said(client.post(start, "[" * 100_000, "application/json")) == (400, "malformed")
    assert said(client.post(start, "paused=1", "application/x-www-form-urlencoded")) == (415, "unsupported_media_type")
    broken = client.generic("POST", start, b"x", "multipart/form-data")
    assert said(broken) == (415, "unsupported_media_type")
    assert said(client.get("/api/v1/guests/line%0Aend")) == (404, "not_found")
    assert said(Script(operator).generic("POST", "/api/v1/nowhere")) == (404, "not_found")
    assert said(client.post(start, "x" * (LARGEST_BODY + 1), "application/json")) == (413, "too_large")
    assert said(client.get("/api/v1/guests", headers={"Accept": "image/png"})) == (406, "not_acceptable")
    assert said(client.get("/api/v1/guests?limit=0")) == (422, "invalid")
    assert said(client.get("/api/v1/guests?q=" + "x" * 501)) == (422, "invalid")
    assert said(client.get(f"/api/v1/hosts/{2**70}"))[0] in (404, 422)


def test_a_wrong_search_is_explained_where_it_is_wrong(viewer: User, guest: Guest) -> None:
    answer = client_of(viewer).get("/api/v1/guests", {"q": "web1 colour:red"})
    assert said(answer) == (422, "invalid")
    assert "colour" in answer.json()["errors"]["q"][0]
    assert answer.json()["position"] == 5


def test_a_search_is_the_lists(viewer: User, guest: Guest) -> None:
    Guest.objects.create(host=guest.host, uuid=uuid4(), name="db1", state="running")
    client = client_of(viewer)
    found = [row["name"] for row in client.get("/api/v1/guests", {"q": "state:running host:alpha"}).json()["items"]]
    assert found == ["db1"]


def test_an_error_of_ours_is_a_problem_without_its_insides(
    operator: User, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **given: Any) -> None:
        raise RuntimeError("secret insides")

    monkeypatch.setattr("dashboard.api.reads.rows.guest_row", broken)
    client = client_of(operator)
    client.raise_request_exception = False
    answer = client.get(f"/api/v1/guests/{guest.uuid}")
    assert said(answer) == (500, "internal")
    assert b"insides" not in answer.content


def test_an_idempotency_key_is_good_for_one_wish(operator: User, guest: Guest) -> None:
    script = Script(operator)
    other = Guest.objects.create(host=guest.host, uuid=uuid4(), name="web2", state="shutoff")

    def post(path: str, key: str, body: str = "{}") -> Any:
        return script.post(f"/api/v1/{path}", body, "application/json", headers={"Idempotency-Key": key})

    first = post(f"guests/{guest.uuid}/operations/start", "k")
    assert first.status_code == 202
    assert post(f"guests/{guest.uuid}/operations/start", "k").json()["id"] == first.json()["id"]
    assert said(post(f"guests/{other.uuid}/operations/start", "k")) == (422, "invalid")
    assert said(post(f"guests/{guest.uuid}/operations/pause", "k")) == (422, "invalid")
    assert said(post(f"guests/{guest.uuid}/operations/start", "k" * 129)) == (422, "invalid")
    assert Job.objects.count() == 1


def test_me_says_who_one_is_and_what_the_token_may(operator: User, host: Host) -> None:
    Grant.objects.create(user=operator, role="administrator", place="host", key=str(host.pk))
    me = Script(operator, role="viewer").get("/api/v1/me").json()
    assert (me["username"], me["token"]["role"], me["token"]["name"]) == ("olga", "viewer", "test")
    assert "guest.view" in me["permissions"] and "guest.power" not in me["permissions"]
    assert {grant["role"] for grant in me["grants"]} == {"operator", "administrator"}
    assert "digest" not in json.dumps(me)
    assert client_of(operator).get("/api/v1/me").json()["token"] is None


def test_operations_are_listed_with_what_they_take(viewer: User) -> None:
    listed = {one["name"]: one for one in client_of(viewer).get("/api/v1/operations").json()["items"]}
    start = listed["guest.start"]
    assert (start["path"], start["permission"]) == ("/api/v1/guests/{uuid}/operations/start", "guest.power")
    assert start["params"]["properties"]["paused"]["type"] == "boolean"
