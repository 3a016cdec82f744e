"""The second factor: codes work once, guessing is slowed, roles demand one everywhere, administrators take a lost one away."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from dashboard.accounts import second_factor, tokens
from dashboard.accounts.models import AuditEntry, Counted, Grant, User
from dashboard.consoles import rights
from dashboard.consoles.refusals import SESSION
from dashboard.live.sessions import scopes
from tests.unit.accounts.conftest import PASSWORD, code_of, long_ago, person, set_up_app, sign_in, signed_in, step

pytestmark = pytest.mark.usefixtures("place")


def codes_of(browser: Client) -> list[str]:
    page = browser.post("/accounts/2fa/recovery-codes/").content.decode()
    return re.findall(r"\b\d{10}\b", page)


def test_after_the_password_a_code_of_the_app_is_asked_for() -> None:
    anna = person("anna")
    secret = set_up_app(sign_in("anna"))
    anna.refresh_from_db()
    assert anna.second_factor
    browser = sign_in("anna")
    assert not signed_in(browser), "the password alone is not enough"
    assert browser.get("/preferences/").status_code == 302
    assert step(browser, code_of(secret, time.time() + 30))


def test_the_qr_code_is_a_picture_in_the_page() -> None:
    person("anna")
    page = sign_in("anna").get("/accounts/2fa/totp/activate/").content.decode()
    assert 'src="data:image/svg+xml;base64,' in page


def test_a_code_works_once_also_after_half_a_minute() -> None:
    person("anna")
    secret = set_up_app(sign_in("anna"))
    code = code_of(secret, time.time() + 30)
    assert step(sign_in("anna"), code)
    Counted.objects.filter(key__contains="allauth.mfa.totp.used").delete()  # what allauth itself forgets after 30 s
    assert not step(sign_in("anna"), code)


def test_the_code_that_set_up_the_app_does_not_sign_in() -> None:
    person("anna")
    browser = sign_in("anna")
    secret = str(browser.get("/accounts/2fa/totp/activate/").context["form"].secret)
    code = code_of(secret, time.time())
    browser.post("/accounts/2fa/totp/activate/", {"code": code})
    assert not step(sign_in("anna"), code)


def test_eight_wrong_codes_slow_guessing_and_lock_nobody_out_for_good() -> None:
    person("anna")
    secret = set_up_app(sign_in("anna"))
    browser = sign_in("anna")
    for _ in range(8):
        assert not step(browser, "000000")
    right = code_of(secret, time.time() + 30)
    assert not step(browser, right), "the ninth is not even looked at"
    Counted.objects.filter(key__contains="15m").delete()
    Counted.objects.filter(key__contains="900").delete()
    Counted.objects.update(value=[time.time() - 901] * 8)  # a quarter of an hour later
    assert step(browser, right)


def test_secrets_of_apps_and_recovery_codes_are_not_readable_in_the_database() -> None:
    person("anna")
    browser = sign_in("anna")
    secret = set_up_app(browser)
    codes = codes_of(browser)
    assert len(codes) == 10
    kept = json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in kept
    assert not [code for code in codes if code in kept]


def test_recovery_codes_are_shown_once_and_work_once() -> None:
    person("anna")
    browser = sign_in("anna")
    set_up_app(browser)
    assert not re.findall(r"\b\d{10}\b", browser.get("/accounts/2fa/recovery-codes/").content.decode()), "not on a GET"
    codes = codes_of(browser)
    assert codes_of(browser) == [], "never again"
    assert step(sign_in("anna"), codes[0])
    assert not step(sign_in("anna"), codes[0])
    assert step(sign_in("anna"), codes[1])


def test_recovery_codes_are_no_download() -> None:
    person("anna")
    browser = sign_in("anna")
    set_up_app(browser)
    assert browser.get("/accounts/2fa/recovery-codes/download/").status_code == 404


def test_a_role_that_demands_a_second_factor_opens_nothing_without_one() -> None:
    anna = person("anna", "operator")
    browser = sign_in("anna")
    _token, text = tokens.issue(anna, "script")
    key = str(browser.session.session_key)
    assert scopes([key]) and tokens.authenticate(text)
    second_factor.set_required("operator", True)
    for address in ("/", "/preferences/", "/jobs/", "/security/tokens/", "/accounts/password/change/"):
        page = browser.get(address)
        assert (page.status_code, page.headers.get("Location")) == (302, "/security/"), address
    assert "demands a second factor" in browser.get("/security/").content.decode()
    answer = browser.get("/api/v1/guests")
    assert answer.status_code == 403
    assert "second factor" in answer.json()["detail"]
    assert scopes([key]) == {}, "no live page"
    grant = rights.Grant(anna.pk, key, 1, "00000000-0000-4000-8000-000000000001", "guest.console")
    assert rights.ended([grant]) == {grant: SESSION}, "no console"
    assert tokens.authenticate(text) is None, "no token"
    set_up_app(browser)
    assert browser.get("/preferences/").status_code == 200
    assert scopes([key]) and tokens.authenticate(text)


def test_the_demand_reaches_members_of_groups_and_nobody_else() -> None:
    anna, ben = person("anna", ""), person("ben", "viewer")
    team = Group.objects.create(name="team")
    Grant.objects.create(group=team, role="operator")
    anna.groups.add(team)
    second_factor.set_required("operator", True)
    assert second_factor.required_for(anna)
    assert not second_factor.required_for(ben)
    assert second_factor.missing_among([anna, ben]) == {anna.pk}
    second_factor.set_required("operator", False)
    assert not second_factor.required_for(anna)
    assert AuditEntry.objects.filter(action="role.second_factor").count() == 2


def test_a_role_that_is_not_there_demands_nothing() -> None:
    with pytest.raises(KeyError):
        second_factor.set_required("nobody", True)


def test_who_has_a_second_factor_confirms_with_it_and_not_with_the_password() -> None:
    person("anna")
    browser = sign_in("anna")
    secret = set_up_app(browser)
    long_ago(browser)
    page = browser.get("/accounts/2fa/totp/deactivate/")
    assert page["Location"].startswith("/accounts/2fa/reauthenticate/")
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert browser.get("/accounts/2fa/totp/deactivate/").status_code == 302
    browser.post("/accounts/2fa/reauthenticate/", {"code": code_of(secret, time.time() + 30)})
    assert browser.get("/accounts/2fa/totp/deactivate/").status_code == 200
    browser.post("/accounts/2fa/totp/deactivate/")
    assert not User.objects.get().second_factor


def test_an_administrator_takes_a_lost_second_factor_away() -> None:
    person("root", "administrator")
    anna = person("anna")
    browser, root = sign_in("anna"), sign_in("root")
    set_up_app(browser)
    assert root.post(f"/people/{anna.pk}/second-factor/reset/").status_code == 302
    anna.refresh_from_db()
    assert not anna.second_factor
    assert browser.get("/preferences/").status_code == 302, "signed out everywhere"
    assert signed_in(sign_in("anna"))
    entry = AuditEntry.objects.get(action="second_factor.reset")
    assert (entry.actor_name, entry.object_name) == ("root", "anna")


def test_nobody_else_takes_a_second_factor_away() -> None:
    anna = person("anna")
    person("ben")
    set_up_app(sign_in("anna"))
    assert sign_in("ben").post(f"/people/{anna.pk}/second-factor/reset/").status_code == 403
    assert Authenticator.objects.filter(user=anna).exists()


def test_setting_up_and_removing_is_audited(django_capture_on_commit_callbacks: Callable[..., Any]) -> None:
    person("anna")
    browser = sign_in("anna")
    with django_capture_on_commit_callbacks(execute=True):
        set_up_app(browser)
    browser.post("/accounts/2fa/totp/deactivate/")
    actions = AuditEntry.objects.filter(action__startswith="second_factor.").values_list("action", flat=True)
    assert set(actions) == {"second_factor.add", "second_factor.remove"}


def test_a_wrong_code_is_audited_without_the_code() -> None:
    person("anna")
    set_up_app(sign_in("anna"))
    step(sign_in("anna"), "123456")
    entry = AuditEntry.objects.get(result="wrong code")
    assert entry.object_name == "anna"
    assert "123456" not in str(entry.__dict__)


def test_a_secret_whose_key_is_gone_fits_no_code_and_breaks_no_page(settings: object) -> None:
    from cryptography.fernet import Fernet

    person("anna")
    browser = sign_in("anna")
    secret = set_up_app(browser)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]  # type: ignore[attr-defined]
    assert browser.get("/security/").status_code == 200
    assert not step(sign_in("anna"), code_of(secret, time.time() + 30))


def test_what_was_counted_is_forgotten_when_its_time_is_over() -> None:
    from django.core.cache import cache

    assert cache.add("once", "x", timeout=30)
    assert not cache.add("once", "y", timeout=30)
    Counted.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert cache.get("once") is None
    assert cache.add("once", "z", timeout=30)
    assert cache.get("once") == "z"


def test_an_administrator_demands_a_second_factor_of_a_role_on_its_page() -> None:
    person("root", "administrator")
    anna = person("anna", "viewer")
    root = sign_in("root")
    page = root.get("/people/roles/viewer/").content.decode()
    assert 'name="required"' in page and 'name="required" checked' not in page
    assert root.post("/people/roles/viewer/second-factor/", {"required": "on"}).status_code == 302
    assert 'name="required" checked' in root.get("/people/roles/viewer/").content.decode()
    assert second_factor.required_for(anna)
    assert sign_in("anna").get("/preferences/")["Location"] == "/security/"
    root.post("/people/roles/viewer/second-factor/", {})
    assert not second_factor.required_for(anna)
    assert root.post("/people/roles/king/second-factor/", {"required": "on"}).status_code == 404
