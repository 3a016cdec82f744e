"""Signing in with a second step looks right in both looks: set up, codes, the step itself, and a link for a password."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Page, expect

from tests.e2e.browser import PASSWORD, Person
from tests.e2e.looks import against_wcag, too_wide, unfilled, untranslated
from tests.e2e.test_looks import LOOKS

GO = "main form button[type=submit].btn-primary"
NAMES = {"kvmweb", "English", "totti", "totte", "Passkey"}


class Looker:
    """Looks at pages, one after another, and remembers what is wrong."""

    def __init__(self, person: Person, look: str) -> None:
        self.person, self.look, self.faults = person, look, list[str]()

    def at(self, page: Page, where: str) -> None:
        expect(page.get_by_role("heading").first).to_be_visible()
        with self.person.excused("style-src"):
            found = against_wcag(page) + too_wide(page) + unfilled(page)
        found += untranslated(page, NAMES) if "Chinese" in self.look else []
        self.faults += [f"{self.look}: {where}: {fault}" for fault in found]


def send_password(page: Page, name: str) -> None:
    page.locator("[name=login]").fill(name)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("look", LOOKS)
def test_the_second_step_looks_right_from_its_set_up_on(
    people: Callable[..., Person], add_person: Callable[[str, str], Any], look: str
) -> None:
    name = "totte" if "Chinese" in look else "totti"
    someone = people(add_person(name, "operator"), reduced_motion="reduce", **LOOKS[look])
    seen, page = Looker(someone, look), someone.open("/accounts/2fa/totp/activate/")
    seen.at(page, "set up an app")
    secret = page.locator("main .command pre").first.inner_text().strip()
    page.locator("[name=code]").fill("000000")
    page.locator(GO).click()
    seen.at(page, "a wrong code")
    page.locator("[name=code]").fill(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))
    page.locator(GO).click()
    seen.at(page, "codes before they are shown")
    page.locator(GO).click()
    expect(page.locator("main .command pre")).to_be_visible()
    seen.at(page, "codes")
    for path in ("2fa/recovery-codes/", "2fa/recovery-codes/generate/", "2fa/totp/deactivate/", "reauthenticate/"):
        page.goto(f"/accounts/{path}")
        seen.at(page, path)
    page.goto("/security/")
    seen.at(page, "how one signs in")
    page.goto("/accounts/logout/")
    page.locator("form button[type=submit]").last.click()
    page.goto("/accounts/login/")
    send_password(page, name)
    expect(page.locator("[name=code]")).to_be_visible()
    seen.at(page, "the second step")
    assert not seen.faults, "\n".join(seen.faults)


@pytest.mark.parametrize("look", LOOKS)
def test_a_link_for_a_password_looks_right_where_it_is_made_and_where_it_leads(
    people: Callable[..., Person], look: str
) -> None:
    ada, stranger = (people(*who, reduced_motion="reduce", **LOOKS[look]) for who in ((), (None,)))
    stranger.allow("404")
    seen, page = Looker(ada, look), ada.open("/people/1/security/")
    page.locator("form[action$='password-link/'] button").click()
    seen.at(page, "a link for a password")
    link = page.locator("main .command pre").first.inner_text().strip()
    there = Looker(stranger, look)
    there.at(stranger.open(link), "set a password")
    there.at(stranger.open("/password/nonsense/"), "a link that is used up")
    assert not seen.faults + there.faults, "\n".join(seen.faults + there.faults)
