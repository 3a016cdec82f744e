"""Where one is sent after signing in, confirming or signing out: to our own pages only (WEB-9)."""

from __future__ import annotations

from urllib.parse import quote, urljoin, urlsplit

import pytest
from django.test import Client

from tests.unit.accounts.conftest import PASSWORD, long_ago, person, set_up_app, sign_in, step

ELSEWHERE = (
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example",
    "https://evil.example", "http:///evil.example", "/\t/evil.example", "javascript:alert(1)", " //evil.example",
    "%2F%2Fevil.example", "/%2Fevil.example", "//evil.example/%2F..", "https://testserver@evil.example", "//evil。example",
    "\x00//evil.example", "data:text/html,x",
)  # fmt: skip

pytestmark = [pytest.mark.usefixtures("place"), pytest.mark.parametrize("place_to_go", ELSEWHERE)]


def assert_ours(location: str) -> None:
    """As a browser reads it."""
    read = location.replace("\\", "/").replace("\t", "").strip()
    where = urlsplit(urljoin("http://testserver/accounts/login/", read))
    assert (where.scheme, where.hostname) == ("http", "testserver"), location


def test_signing_in_leads_to_our_pages(place_to_go: str) -> None:
    person("anna")
    answer = Client().post("/accounts/login/", {"login": "anna", "password": PASSWORD, "next": place_to_go})
    assert_ours(answer["Location"])
    again = sign_in("anna").get(f"/accounts/login/?next={quote(place_to_go)}")
    assert_ours(again["Location"])


def test_so_does_the_second_step(place_to_go: str) -> None:
    import time

    from tests.unit.accounts.conftest import code_of

    person("anna")
    secret = set_up_app(sign_in("anna"))
    browser = Client()
    browser.post("/accounts/login/", {"login": "anna", "password": PASSWORD, "next": place_to_go})
    answer = browser.post("/accounts/2fa/authenticate/", {"code": code_of(secret, time.time() + 30)})
    assert_ours(answer["Location"])
    assert not step(Client(), "1")


def test_so_does_confirming_and_signing_out(place_to_go: str) -> None:
    person("anna")
    browser = sign_in("anna")
    long_ago(browser)
    confirmed = browser.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": place_to_go})
    assert_ours(confirmed["Location"])
    assert_ours(browser.post("/accounts/logout/", {"next": place_to_go})["Location"])
