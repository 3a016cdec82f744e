"""The main job, end to end: the first administrator, a pool, an ISO, a guest, work on its screen, and nothing left."""
from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.e2e.browser import Person
from tests.e2e.stack import Stack


def test_the_setup_link_works_once(person: Person, stack: Stack) -> None:
    person.allow("404")
    page = person.open("/")
    answer = page.goto(stack.setup_link)
    assert answer is not None and answer.status == 404
