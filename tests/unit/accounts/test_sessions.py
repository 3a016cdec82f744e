"""Where people are signed in: the list, ending, idle and longest time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from dashboard.accounts import sessions
from dashboard.accounts.models import AuditEntry, SignIn
from dashboard.accounts.signals import rights_changed
from tests.unit.accounts.conftest import PASSWORD, person, sign_in

pytestmark = pytest.mark.usefixtures("place")


def key(browser: Client) -> str:
    return str(browser.session.session_key)


def test_each_session_is_listed_with_browser_address_and_which_is_this_one() -> None:
    anna = person("anna")
    here, there = sign_in("anna"), sign_in("anna", ip="198.51.100.7")
    rows = sessions.listed(anna, key(here))
    assert [(row.browser, row.ip, row.here) for row in rows] == [
        ("Firefox on Linux", "192.0.2.1", True),
        ("Firefox on Linux", "198.51.100.7", False),
    ]
    page = here.get("/security/").content.decode()
    assert "198.51.100.7" in page and "this one" in page
    assert there.get("/security/").status_code == 200


def test_ending_one_signs_it_out_at_once_and_says_so_to_open_pages() -> None:
    anna = person("anna")
    here, there = sign_in("anna"), sign_in("anna", ip="198.51.100.7")
    other = SignIn.objects.get(ip="198.51.100.7")
    told: list[int] = []
    listen = lambda sender, user_id, **rest: told.append(user_id)  # noqa: E731
    rights_changed.connect(listen)
    assert set(sessions.holders([key(here), key(there)])) == {key(here), key(there)}
    assert here.post(f"/security/sessions/{other.pk}/end/").status_code == 302
    assert set(sessions.holders([key(here), other.session_key])) == {key(here)}
    assert told == [anna.pk]
    assert there.get("/preferences/").status_code == 302
    assert here.get("/preferences/").status_code == 200
    assert AuditEntry.objects.get(action="session.end").detail["address"] == "198.51.100.7"


def test_all_others_are_ended_and_this_one_stays() -> None:
    person("anna")
    here, *others = [sign_in("anna") for _ in range(4)]
    here.post("/security/sessions/end-others/")
    assert here.get("/preferences/").status_code == 200
    assert [other.get("/preferences/").status_code for other in others] == [302, 302, 302]


def test_nobody_ends_somebody_elses_session_without_the_right() -> None:
    person("anna")
    ben = person("ben")
    anna, bens = sign_in("anna"), sign_in("ben")
    his = SignIn.objects.get(user=ben)
    assert anna.post(f"/security/sessions/{his.pk}/end/").status_code == 404
    assert anna.post(f"/people/{ben.pk}/sessions/{his.pk}/end/").status_code == 403
    assert bens.get("/preferences/").status_code == 200


def test_an_administrator_sees_and_ends_somebodys_sessions() -> None:
    person("root", "administrator")
    ben = person("ben")
    root, bens = sign_in("root"), sign_in("ben", ip="203.0.113.5")
    assert "203.0.113.5" in root.get(f"/people/{ben.pk}/security/").content.decode()
    root.post(f"/people/{ben.pk}/sessions/{SignIn.objects.get(user=ben).pk}/end/")
    assert bens.get("/preferences/").status_code == 302
    assert AuditEntry.objects.get(action="session.end").actor_name == "root"


def test_who_does_nothing_for_two_hours_is_signed_out() -> None:
    person("anna")
    browser = sign_in("anna")
    session_key = key(browser)
    SignIn.objects.update(last_seen_at=timezone.now() - timedelta(hours=2, minutes=1))
    sessions._noted.clear()
    assert sessions.holders([session_key]) == {}, "open pages and consoles end"
    assert browser.get("/preferences/").status_code == 302
    assert not Session.objects.exists()


def test_no_sign_in_lasts_longer_than_twelve_hours_however_busy() -> None:
    person("anna")
    browser = sign_in("anna")
    session_key = key(browser)
    SignIn.objects.update(created_at=timezone.now() - timedelta(seconds=django_settings.SESSION_COOKIE_AGE + 1))
    sessions._noted.clear()
    assert sessions.holders([session_key]) == {}
    assert browser.get("/preferences/").status_code == 302


def test_being_there_is_noted_once_a_minute_and_not_with_each_request(django_assert_num_queries: object) -> None:
    person("anna")
    browser = sign_in("anna")
    browser.get("/preferences/")
    SignIn.objects.update(last_seen_at=timezone.now() - timedelta(minutes=5))
    browser.post("/security/seen/")
    assert SignIn.objects.get().last_seen_at < timezone.now() - timedelta(minutes=4)
    sessions._noted.clear()  # a minute later
    assert browser.post("/security/seen/").status_code == 204
    assert SignIn.objects.get().last_seen_at > timezone.now() - timedelta(minutes=1)


def test_a_changed_password_keeps_this_session_in_the_list_and_ends_the_others() -> None:
    anna = person("anna")
    here, there = sign_in("anna"), sign_in("anna")
    fresh = "another correct horse"
    form = {"oldpassword": PASSWORD, "password1": fresh, "password2": fresh}
    assert here.post("/accounts/password/change/", form).status_code == 302
    assert there.get("/preferences/").status_code == 302
    here.get("/preferences/")
    assert [row.here for row in sessions.listed(anna, key(here)) if row.here] == [True]


def test_a_session_of_before_is_noted_when_it_comes() -> None:
    anna = person("anna")
    browser = sign_in("anna")
    SignIn.objects.all().delete()
    sessions._noted.clear()
    assert browser.get("/preferences/").status_code == 200
    assert len(sessions.listed(anna)) == 1


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36 Edg/141", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) AppleWebKit/605 Version/18 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/141.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5", "curl"),
        ("<script>alert(1)</script>", "Unknown browser"),
        ("", "Unknown browser"),
    ],
)  # fmt: skip
def test_browsers_are_called_by_names_that_people_know(said: str, shown: str) -> None:
    assert sessions.browser(said) == shown
