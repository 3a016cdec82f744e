"""While something is full: what is refused, what goes on, and who is told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from django.core.cache import cache
from django.db import InterfaceError, OperationalError
from django.test import Client
from pytest_django import Settings

from dashboard.accounts import people
from dashboard.accounts.models import User
from dashboard.accounts.permissions import ADMINISTRATOR, VIEWER
from dashboard.inventory import bus, fullness
from dashboard.inventory.fullness import Trouble

pytestmark = pytest.mark.django_db

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
FULL = Trouble("disk", True, fullness.DISK_FULL, {"path": "/srv", "left": 3, "percent": 0.1})
LOW = Trouble("disk", False, fullness.DISK_LOW, {"path": "/srv", "left": 900, "percent": 2.5})
Say = Callable[..., None]


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """What was met in one test is believed in no other."""
    met, known = dict(fullness._met), fullness._known
    yield
    fullness._met.update(met)
    fullness._known = known
    with suppress(bus.BusError):
        bus.client().delete(fullness.TOLD)


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Say:
    """`say(trouble…)`: that is what is found."""
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    cache.clear()
    return lambda *troubles: monkeypatch.setattr(fullness, "look", lambda: troubles)


def signed_in(role: str) -> Client:
    client = Client()
    person = people.add_person(actor=None, username=role, password="correct horse battery staple", role=role)
    client.force_login(person, backend=BACKEND)
    return client


def test_pages_load_and_say_what_is_full_and_what_to_do(say: Say) -> None:
    say(FULL)
    page = signed_in(VIEWER).get("/guests/").content.decode()
    assert "kvmweb is read-only for now." in page
    assert "The disk of /srv is full (3 MiB left). Make room on it." in page


def test_a_stranger_is_told_that_it_is_read_only_but_nothing_about_the_machine(say: Say) -> None:
    say(FULL)
    page = Client().get("/guests/", follow=True).content.decode()
    assert "kvmweb is read-only for now." in page
    assert "/srv" not in page
    said = Client().post("/setup/nothing/", HTTP_ACCEPT="application/json").content.decode()
    assert "read-only" in said
    assert "/srv" not in said


def test_a_form_is_refused_with_the_reason_and_changes_nothing(say: Say) -> None:
    client = signed_in(ADMINISTRATOR)
    say(FULL)
    response = client.post("/people/new/", {"username": "new", "role": VIEWER})
    assert response.status_code == 503
    assert response["Retry-After"]
    assert "/srv is full" in response.content.decode()
    assert not User.objects.filter(username="new").exists()


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_a_script_is_refused_as_a_problem(say: Say, method: str) -> None:
    client = signed_in(ADMINISTRATOR)
    say(FULL)
    response = getattr(client, method)("/api/v1/guests/", content_type="application/json")
    said = json.loads(response.content)
    assert (response.status_code, said["code"], said["status"]) == (503, "read_only", 503)
    assert response["Content-Type"] == "application/problem+json"
    assert "/srv is full" in said["detail"] == said["error"]


def test_one_may_still_sign_out(say: Say) -> None:
    client = signed_in(VIEWER)
    say(FULL)
    assert client.post("/accounts/logout/").status_code == 302
    assert "_auth_user_id" not in client.session


def test_only_who_can_help_is_told_before_it_is_full(say: Say) -> None:
    say(LOW)
    words = "The disk of /srv is nearly full: 900 MiB left, 2.5 %. Make room on it."
    assert words in signed_in(ADMINISTRATOR).get("/guests/").content.decode()
    assert words not in signed_in(VIEWER).get("/guests/").content.decode()
    response = signed_in("operator").post("/people/new/")
    assert response.status_code == 403  # refused for another reason: nothing is full yet


def test_a_write_that_finds_no_room_is_an_answer_and_no_fault(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(ADMINISTRATOR)
    client.raise_request_exception = False
    say()

    def no_room(**fields: object) -> None:
        error = OperationalError("database or disk is full")
        raise error from sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(people, "add_person", no_room)
    form = {"username": "new", "role": VIEWER, "password1": "quiet words here", "password2": "quiet words here"}
    response = client.post("/people/new/", {**form, "password": form["password1"], "again": form["password1"]})
    assert response.status_code == 503
    assert "read-only" in response.content.decode()


def test_other_faults_stay_faults(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(ADMINISTRATOR)
    client.raise_request_exception = False
    say()
    monkeypatch.setattr("dashboard.inventory.fullness.full", lambda: 1 / 0)
    assert client.get("/guests/").status_code == 500


def test_those_who_watch_from_outside_learn_it_without_paths(say: Say) -> None:
    say()
    assert Client().get("/healthz").json() == {"status": "ok"}
    say(LOW)
    assert Client().get("/healthz").json() == {"status": "ok"}
    say(FULL)
    response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "read-only", "full": ["disk"]})


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("connection already closed")])
def test_a_database_that_does_not_answer_is_said_to_be_back_soon(
    say: Say, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    say()
    client = signed_in(VIEWER)
    client.raise_request_exception = False
    cookie = client.cookies["kvmweb"].value

    def away(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore._get_session_from_db", away)
    page, told = client.get("/guests/"), client.get("/api/v1/guests")
    assert page.status_code == told.status_code == 503
    assert page["Retry-After"] == told["Retry-After"] == "3"
    assert told.json()["code"] == "unavailable"
    monkeypatch.undo()
    assert client.cookies["kvmweb"].value == cookie, "nobody is signed out by it"


def test_a_fault_of_ours_is_told_to_scripts_in_their_form_also_where_no_page_can_be_rendered(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    say()
    client = signed_in(VIEWER)
    client.raise_request_exception = False

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore._get_session_from_db", broken)
    monkeypatch.setattr("dashboard.upkeep.readonly.server_error", broken)
    told = client.get("/api/v1/guests")
    assert (told.status_code, told.json()["code"]) == (500, "internal")
