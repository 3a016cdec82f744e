"""Signing in as people do: a passkey, an authenticator app, recovery codes, and the sessions they end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import PASSWORD, Person
from tests.e2e.stack import Stack

HOME = re.compile(r"/(guests/)?$")


def key_of_a_laptop(page: Page) -> None:
    """Give this tab's browser a built-in authenticator whose owner always agrees."""
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable", {"enableUI": False})
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def keep_codes(page: Page) -> list[str]:
    """Take the recovery codes that a new second factor brings."""
    page.get_by_role("button", name="Show the codes").click()
    shown = page.get_by_label("Recovery codes", exact=True).inner_text()
    page.get_by_role("link", name="I have kept them").click()
    return shown.split()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name=re.compile("Operator|Viewer")).click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def send_password(page: Page, name: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_a_passkey_is_made_and_signs_in_alone(
    people: Callable[..., Person], add_person: Callable[[str, str], Any]
) -> None:
    paula = people(add_person("paula", "operator"))
    page = paula.open("/security/")
    key_of_a_laptop(page)
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name", exact=True).fill("Laptop")
    expect(page.get_by_label("Sign in with it alone")).to_be_checked()
    page.get_by_role("button", name="Add", exact=True).click()
    assert len(keep_codes(page)) == 10
    expect(page.get_by_text("Laptop")).to_be_visible()
    sign_out(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(HOME)
    expect(page.get_by_role("button", name="paula")).to_be_visible()
    sign_out(page)
    send_password(page, "paula")
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(HOME)


def test_an_authenticator_app_is_set_up_and_asked_for_and_a_recovery_code_stands_in(
    people: Callable[..., Person], add_person: Callable[[str, str], Any]
) -> None:
    tom = people(add_person("tom", "operator"))
    page = tom.open("/security/")
    page.get_by_role("link", name="Set up", exact=True).click()
    expect(page.get_by_alt_text("QR code")).to_be_visible()
    assert page.get_by_alt_text("QR code").evaluate("image => image.naturalWidth") > 0
    secret = page.get_by_label("Secret", exact=True).inner_text().strip()

    def code(later: int = 0) -> str:
        return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + later))

    page.get_by_label("Code that the app shows").fill(code())
    page.get_by_role("button", name="Switch on").click()
    codes = keep_codes(page)
    for answer in (code(1), codes[0]):
        sign_out(page)
        send_password(page, "tom")
        page.get_by_label("Code of your authenticator app").fill(answer)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page).to_have_url(HOME)
    sign_out(page)
    send_password(page, "tom")
    page.get_by_label("Code of your authenticator app").fill(codes[0])
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("was used already")).to_be_visible()


def test_a_session_that_is_ended_elsewhere_closes_its_pages_within_five_seconds(
    people: Callable[..., Person], add_person: Callable[[str, str], Any], chromium: Browser, stack: Stack
) -> None:
    here = people(add_person("sue", "viewer"))
    there = people(None)
    there.allow("401", "403")
    forgotten = there.open("/accounts/login/")
    send_password(forgotten, "sue")
    expect(forgotten.locator("#live-indicator")).to_contain_text("Live")
    page = here.open("/security/")
    expect(page.get_by_text("this one")).to_have_count(1)
    began = time.monotonic()
    page.get_by_role("button", name="End all others").click()
    expect(forgotten.locator("#live-indicator")).to_contain_text("Signed out", timeout=5_000)
    print(f"a page closed {time.monotonic() - began:.1f} s after its session was ended elsewhere")
    expect(page.get_by_role("button", name="End it")).to_have_count(0)
    forgotten.goto("/jobs/")
    expect(forgotten.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_token_is_made_shown_once_and_opens_the_api(
    people: Callable[..., Person], add_person: Callable[[str, str], Any], stack: Stack
) -> None:
    tina = people(add_person("tina", "viewer"))
    page = tina.open("/security/tokens/")
    page.get_by_label("Name", exact=True).fill("backup")
    page.get_by_role("button", name="Make token").click()
    text = page.get_by_label("New token", exact=True).inner_text().strip()
    assert text.startswith("kvm_")
    script = people(None)
    bearer = {"Authorization": f"Bearer {text}"}
    answer = script.context.request.get("/api/v1/guests", headers=bearer)
    assert answer.status == 200
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("opens nothing any more")).to_be_visible()
    script.allow("401")
    assert script.context.request.get("/api/v1/guests", headers=bearer).status == 401
