"""Guessing passwords is slow for strangers, and strangers keep nobody out who is known here."""

from __future__ import annotations

import time

import pytest
from django.core.cache import caches
from django.test import Client

from dashboard.accounts.counting import Counts
from dashboard.accounts.models import Counted
from dashboard.accounts.throttle import folded, network
from tests.unit.accounts.conftest import person, sign_in, signed_in

pytestmark = pytest.mark.usefixtures("place")


def strangers_fail(name: str, times: int = 31) -> None:
    """Wrong passwords under one name, each from an address of its own."""
    for number in range(times):
        sign_in(name, "wrong", ip=f"203.0.113.{number}")


def test_five_failures_from_one_address_stop_the_sixth_even_with_the_right_password() -> None:
    person("anna")
    for _ in range(5):
        sign_in("anna", "wrong")
    assert not signed_in(sign_in("anna"))


@pytest.mark.parametrize(
    "spellings", ["\u017fam SAM \u017fAM sam sAM", "\uff53\uff41\uff4d sam \uff33\uff21\uff2d SAM Sam"]
)
def test_another_spelling_of_a_name_is_no_other_name(spellings: str) -> None:
    """PostgreSQL takes a long s for an s, SQLite does not: the count must not depend on it."""
    person("sam")
    for name in spellings.split():
        sign_in(name, "wrong")
    assert not signed_in(sign_in("sam"))


def test_what_a_database_may_take_for_one_name_counts_as_one() -> None:
    alike = [("sam", "\u017fam"), ("ian", "\u0131an"), ("stra\u00dfe", "STRASSE"), ("caf\u00e9", "cafe\u0301")]
    assert [folded(one) == folded(other) for one, other in alike] == [True] * len(alike)
    assert folded("sam") != folded("som")


def test_a_stranger_with_many_addresses_is_stopped_too() -> None:
    person("anna")
    strangers_fail("anna")
    assert not signed_in(sign_in("anna", ip="198.51.100.99"))


def test_strangers_do_not_keep_a_person_from_the_browser_they_use() -> None:
    person("anna")
    browser = sign_in("anna", ip="192.0.2.1")
    browser.post("/accounts/logout/")
    strangers_fail("anna")
    browser.defaults["REMOTE_ADDR"] = "198.51.100.99"  # on a journey, but with the same browser
    assert signed_in(sign_in("anna", client=browser))


def test_strangers_do_not_keep_a_person_from_an_address_they_use() -> None:
    person("anna")
    sign_in("anna", ip="192.0.2.1")
    strangers_fail("anna")
    assert signed_in(sign_in("anna", ip="192.0.2.1"))


def test_another_at_the_same_address_does_not_keep_a_person_from_their_browser() -> None:
    person("anna")
    browser = sign_in("anna")
    browser.post("/accounts/logout/")
    for _ in range(20):
        sign_in("anna", "wrong")
    assert signed_in(sign_in("anna", client=browser))


def test_a_known_browser_may_not_guess_for_ever_either() -> None:
    person("anna")
    browser = sign_in("anna")
    browser.post("/accounts/logout/")
    for _ in range(5):
        sign_in("anna", "wrong", client=browser)
    assert not signed_in(sign_in("anna", client=browser))


def test_a_known_browser_is_known_for_its_own_people_only() -> None:
    person("anna")
    person("ben")
    browser = sign_in("anna")
    browser.post("/accounts/logout/")
    strangers_fail("ben")
    browser.defaults["REMOTE_ADDR"] = "198.51.100.99"
    assert not signed_in(sign_in("ben", client=browser))


def test_a_made_up_cookie_makes_no_known_browser() -> None:
    person("anna")
    strangers_fail("anna")
    browser = Client(REMOTE_ADDR="198.51.100.99")
    browser.cookies["kvmweb-known"] = "eyIxIjoiYWJjIn0:1abc:forged"
    assert not signed_in(sign_in("anna", client=browser))


def test_after_a_while_the_person_may_sign_in_again() -> None:
    person("anna")
    for _ in range(6):
        sign_in("anna", "wrong")
    Counted.objects.update(value=[time.time() - 301])  # five minutes later
    assert signed_in(sign_in("anna"))


def test_right_passwords_use_nothing_up() -> None:
    person("anna")
    for _ in range(12):
        assert signed_in(sign_in("anna"))


def test_a_network_of_ipv6_counts_as_one() -> None:
    assert network("2001:db8:1:2:3::4") == network("2001:db8:1:2:ffff::9") != network("2001:db8:1:3::1")
    assert network("192.0.2.1") != network("192.0.2.2")
    assert network("") == ""


def test_signing_in_counts_in_the_database_and_needs_no_redis() -> None:
    person("anna")
    assert signed_in(sign_in("anna")), "there is no Redis in this test"
    sign_in("anna", "wrong", ip="198.51.100.1")
    assert Counted.objects.exists()
    assert isinstance(caches["default"], Counts)
