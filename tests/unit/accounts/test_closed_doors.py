"""What allauth brings and kvmweb does not have stays shut: sign-up, e-mail addresses, reset by mail, codes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from dashboard.accounts import people
from dashboard.accounts.audit import record
from dashboard.accounts.models import AuditEntry, User
from dashboard.accounts.permissions import ADMINISTRATOR, VIEWER

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery staple"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
CLOSED = (
    "signup/", "email/", "confirm-email/", "confirm-email/abc/", "password/set/", "password/reset/done/",
    "password/reset/key/1-abc/", "password/reset/key/done/", "login/code/confirm/",
)  # fmt: skip


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[None]:
    monkeypatch.setattr(people, "SETUP_TOKEN", tmp_path / "setup-link")
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()
    yield


def signed_in(role: str) -> Client:
    client = Client()
    person = people.add_person(actor=None, username=role, password=PASSWORD, role=role)
    client.force_login(person, backend=BACKEND)
    return client


def test_a_stranger_cannot_have_this_machine_send_mail() -> None:
    stranger = Client()
    assert stranger.get("/accounts/password/reset/").status_code == 200, "it says who can help"
    assert stranger.post("/accounts/password/reset/", {"email": "victim@example.org"}).status_code == 405
    assert not mail.outbox


@pytest.mark.parametrize("path", CLOSED)
def test_a_page_that_kvmweb_does_not_have_is_not_there(path: str) -> None:
    stranger, viewer = Client(), signed_in(VIEWER)
    for method in ("get", "post"):
        assert getattr(stranger, method)(f"/accounts/{path}").url.startswith("/accounts/login/")
        assert getattr(viewer, method)(f"/accounts/{path}", {"email": "a@example.org"}).status_code == 404
    assert not mail.outbox


def test_signing_up_makes_nobody() -> None:
    Client().post("/accounts/signup/", {"username": "eve", "password1": PASSWORD})
    assert not User.objects.filter(username="eve").exists()


def test_ones_own_password_is_changed_by_its_owner() -> None:
    viewer = signed_in(VIEWER)
    assert viewer.get("/accounts/password/change/").status_code == 200
    fresh = "another correct horse"
    changed = viewer.post(
        "/accounts/password/change/", {"oldpassword": PASSWORD, "password1": fresh, "password2": fresh}
    )
    assert changed.status_code == 302
    assert User.objects.get(username=VIEWER).check_password(fresh)


def test_the_set_up_link_is_spent_by_one_of_two_who_come_at_once() -> None:
    token = people.setup_token()
    assert people.spend_setup_token(token)
    assert not people.spend_setup_token(token)


def test_a_search_of_many_words_in_the_audit_log_is_one_plain_query() -> None:
    record(actor=None, action="host.add", phase="event", object_name="alpha")
    administrator = signed_in(ADMINISTRATOR)
    page = administrator.get("/audit/", {"q": "alpha " + " ".join(f"word{number}" for number in range(20))})
    assert page.status_code == 200
    assert not page.context["page"].lines
    found = administrator.get("/audit/", {"q": "ALPHA host.add"}).context["page"].lines
    assert [line.object_name for line in found] == ["alpha"]
    assert AuditEntry.objects.filter(action="host.add").exists()
