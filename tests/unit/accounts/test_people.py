"""People: the first administrator, roles, the last administrator, ended sessions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from dashboard.accounts import people
from dashboard.accounts.access import can, scope_of
from dashboard.accounts.models import AuditEntry, User
from dashboard.accounts.permissions import ADMINISTRATOR, OPERATOR, PERMISSIONS, ROLES, VIEWER

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery staple"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture(autouse=True)
def own_setup_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[None]:
    monkeypatch.setattr(people, "SETUP_TOKEN", tmp_path / "setup-link")
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()
    yield


def person(name: str, role: str) -> User:
    return people.add_person(actor=None, username=name, password=PASSWORD, role=role)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=BACKEND)
    return client


def test_the_set_up_link_makes_the_first_administrator_once() -> None:
    token = people.setup_token()
    client = Client()
    page = client.post(f"/setup/{token}/", {"username": "anna", "password": PASSWORD, "again": PASSWORD})
    assert page.status_code == 302
    anna = User.objects.get(username="anna")
    assert anna.role == ADMINISTRATOR
    assert anna.password.startswith("argon2")
    assert client.session["_auth_user_id"] == str(anna.pk)
    assert Client().get(f"/setup/{token}/").status_code == 404


def test_a_wrong_set_up_link_is_not_found() -> None:
    people.setup_token()
    assert Client().get("/setup/guess/").status_code == 404


def test_the_set_up_token_is_readable_by_its_owner_only() -> None:
    people.setup_token()
    assert people.SETUP_TOKEN.stat().st_mode & 0o077 == 0


def test_a_weak_or_differing_password_is_told_beside_its_field() -> None:
    token = people.setup_token()
    page = Client().post(f"/setup/{token}/", {"username": "anna", "password": "short", "again": "short"})
    assert page.status_code == 422
    page = Client().post(f"/setup/{token}/", {"username": "anna", "password": PASSWORD, "again": "another"})
    assert "differ" in page.content.decode()
    assert not User.objects.exists()


def test_a_stranger_is_sent_to_the_sign_in_page_everywhere() -> None:
    for address in ("/", "/hosts/", "/people/", "/audit/", "/jobs/", "/preferences/"):
        page = Client().get(address)
        assert page.status_code == 302, address
        assert page["Location"].startswith("/accounts/login/"), address


def test_a_script_that_is_not_signed_in_gets_401() -> None:
    assert Client().get("/people/", headers={"accept": "application/json"}).status_code == 401


def test_anonymous_visits_make_no_sessions() -> None:
    for _ in range(20):
        Client().get("/accounts/login/?next=/people/")
    assert not Session.objects.exists()


def test_a_viewer_and_an_operator_may_not_manage_people() -> None:
    for role in (VIEWER, OPERATOR):
        client = signed_in(person(role, role))
        assert client.get("/people/").status_code == 403
        assert client.post("/people/new/", {}).status_code == 403
        assert client.get("/audit/").status_code == 403


def test_sessions_that_are_over_go_when_somebody_signs_in() -> None:
    anna = person("anna", VIEWER)
    signed_in(anna)
    Session.objects.update(expire_date=timezone.now() - timedelta(days=1))
    signed_in(anna)
    assert Session.objects.count() == 1


def test_the_last_administrator_stays_administrator() -> None:
    anna = person("anna", ADMINISTRATOR)
    with pytest.raises(people.LastAdministrator):
        people.change_person(actor=anna, person=anna, role=VIEWER, is_active=True)
    anna.refresh_from_db()
    assert anna.role == ADMINISTRATOR


def test_a_disabled_person_loses_every_session_and_every_right() -> None:
    anna, ben = person("anna", ADMINISTRATOR), person("ben", OPERATOR)
    client = signed_in(ben)
    people.change_person(actor=anna, person=ben, role=OPERATOR, is_active=False)
    assert not [s for s in Session.objects.all() if s.get_decoded().get("_auth_user_id") == str(ben.pk)]
    assert client.get("/preferences/").status_code == 302
    ben.refresh_from_db()
    assert not can(ben, "guest.view")


def test_every_role_is_made_of_declared_permissions() -> None:
    for role, permissions in ROLES.items():
        assert permissions <= set(PERMISSIONS), role
    assert ROLES[VIEWER] < ROLES[OPERATOR] < ROLES[ADMINISTRATOR]


def test_an_undeclared_permission_is_an_error_not_a_no() -> None:
    with pytest.raises(KeyError):
        can(person("anna", ADMINISTRATOR), "guest.explode")


def test_a_viewer_sees_their_own_jobs_on_the_live_stream_and_no_others() -> None:
    scope = scope_of(person("vera", VIEWER))
    assert scope.sees({"k": "guest"})
    assert scope.sees({"k": "job", "user": scope.user_id})
    assert not scope.sees({"k": "job", "user": scope.user_id + 1})
    assert not scope.sees({"k": "something new"})


def test_the_audit_log_only_grows() -> None:
    person("anna", ADMINISTRATOR)
    entry = AuditEntry.objects.get(action="person.add")
    entry.result = "changed"
    with pytest.raises(Exception, match="(?i)unique|append-only"):
        entry.save()


def test_an_audit_entry_is_never_deleted() -> None:
    person("anna", ADMINISTRATOR)
    with pytest.raises(TypeError):
        AuditEntry.objects.get(action="person.add").delete()


def test_a_failed_sign_in_is_audited_without_the_password() -> None:
    person("anna", ADMINISTRATOR)
    Client().post("/accounts/login/", {"login": "anna", "password": "wrong secret"})
    entry = AuditEntry.objects.get(phase="denied")
    assert entry.object_name == "anna"
    assert "wrong secret" not in str(entry.__dict__)


def test_create_admin_reads_the_password_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    call_command("create_admin", username="anna", password_file=str(secret), verbosity=0)
    assert User.objects.get(username="anna").check_password(PASSWORD)
    with pytest.raises(CommandError, match="exists already"):
        call_command("create_admin", username="Anna", password_file=str(secret))
    secret.write_text("short")
    with pytest.raises(CommandError, match="too short"):
        call_command("create_admin", username="ben", password_file=str(secret))


def test_a_weak_password_is_refused_wherever_people_are_added() -> None:
    with pytest.raises(ValidationError):
        people.add_person(actor=None, username="anna", password="password", role=VIEWER)
