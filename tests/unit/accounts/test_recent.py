"""What matters is asked for again after ten minutes, and what was typed is not lost by that."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session

from dashboard.accounts.models import ApiToken
from tests.unit.accounts.conftest import PASSWORD, long_ago, person, sign_in

pytestmark = pytest.mark.usefixtures("place")

NEW = {"name": "script", "role": "", "place": "everything", "which": "", "days": "7"}
PAGES = ("/accounts/password/change/", "/accounts/2fa/totp/activate/", "/security/tokens/")


@pytest.mark.parametrize("address", PAGES)
def test_within_ten_minutes_of_signing_in_nothing_is_asked(address: str) -> None:
    person("anna")
    assert sign_in("anna").get(address).status_code == 200


@pytest.mark.parametrize("address", PAGES)
def test_after_ten_minutes_the_password_is_asked_for_and_then_the_page_comes(address: str) -> None:
    person("anna")
    browser = sign_in("anna")
    long_ago(browser)
    asked = browser.get(address)
    assert asked["Location"].startswith("/accounts/reauthenticate/?next=")
    assert browser.post(asked["Location"], {"password": "wrong"}).status_code == 200
    assert browser.get(address).status_code == 302
    done = browser.post(asked["Location"], {"password": PASSWORD, "next": address})
    assert done["Location"] == address
    assert browser.get(address).status_code == 200


def test_a_form_that_was_sent_too_late_goes_through_after_the_password() -> None:
    person("anna")
    browser = sign_in("anna")
    long_ago(browser)
    asked = browser.post("/security/tokens/", NEW)
    assert asked["Location"] == "/accounts/reauthenticate/"
    assert not ApiToken.objects.exists()
    done = browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert done.status_code == 200
    assert ApiToken.objects.get().name == "script"
    assert "kvm_" in done.content.decode()


def test_what_is_kept_meanwhile_cannot_be_read_in_the_database() -> None:
    person("anna")
    browser = sign_in("anna")
    long_ago(browser)
    browser.post("/security/tokens/", NEW | {"name": "very-secret-name"})
    session = Session.objects.get(session_key=browser.session.session_key)
    assert "very-secret-name" not in str(session.get_decoded())


def test_a_script_is_told_in_json() -> None:
    person("anna")
    browser = sign_in("anna")
    long_ago(browser)
    answer = browser.post("/security/tokens/", NEW, headers={"accept": "application/json"})
    assert answer.status_code == 403
    assert "Confirm" in answer.json()["error"]


def test_people_roles_and_hosts_are_changed_by_who_confirmed_lately() -> None:
    anna = person("anna")
    person("root", "administrator")
    root = sign_in("root")
    long_ago(root)
    asked = "/accounts/reauthenticate/"
    for address in ("/people/new/", "/hosts/new/"):
        assert root.get(address).headers.get("Location", "").startswith(asked), address
    for address in (f"/people/{anna.pk}/", "/people/roles/viewer/", "/people/groups/"):
        assert root.get(address).status_code == 200, "looking is free"
        assert root.post(address, {}).headers.get("Location", "").startswith(asked), address
    changes = (
        f"/people/{anna.pk}/grants/",
        f"/people/{anna.pk}/groups/",
        f"/people/{anna.pk}/second-factor/reset/",
        f"/people/{anna.pk}/password-link/",
        "/people/roles/viewer/second-factor/",
    )
    for address in changes:
        assert root.post(address, {}).headers.get("Location", "").startswith(asked), address
