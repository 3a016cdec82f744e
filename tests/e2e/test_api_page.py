"""The page that describes the API, and the event stream as a browser has it through nginx."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import Person, until
from tests.e2e.looks import against_wcag, too_wide, unfilled
from tests.e2e.stack import Stack


@pytest.fixture
def ada(chromium: Browser, stack: Stack, administrator: Any) -> Iterator[Person]:
    person = Person(chromium, stack.url, administrator)
    yield person
    assert not person.unexpected
    person.close()


def test_the_api_can_be_read_about_by_subject_and_address(ada: Person) -> None:
    page = ada.open("/api/v1/docs")
    expect(page.get_by_role("heading", name="API", level=1)).to_be_visible()
    start = page.locator("#guest_start")
    start.locator("summary").click()
    expect(start.get_by_text("Idempotency-Key")).to_be_visible()
    expect(start.get_by_role("row").filter(has_text=re.compile(r"^\s*paused"))).to_contain_text("boolean")
    expect(start.locator("pre")).to_contain_text("$KVMWEB_URL/api/v1/guests/$UUID/operations/start")
    page.locator("#list_guests summary").click()
    assert too_wide(page) == []
    assert unfilled(page) == []
    with ada.excused("style"):  # axe brings a style of its own
        assert against_wcag(page) == []
        page.emulate_media(color_scheme="dark")
        assert against_wcag(page) == []


def test_what_needs_no_more_is_asked_by_a_click(ada: Person) -> None:
    page = ada.open("/api/v1/docs")
    ada.allow("favicon")  # the browser looks for a picture of what is no page
    hosts = page.locator("#list_hosts")
    hosts.locator("summary").click()
    hosts.get_by_role("link", name="Ask now").click()
    expect(page.locator("body")).to_contain_text('"items"')
    assert page.url.endswith("/api/v1/hosts")


def test_events_come_through_nginx_as_they_happen_and_end_with_the_session(
    ada: Person, chromium: Browser, stack: Stack, add_person: Callable[[str, str], Any]
) -> None:
    reader = Person(chromium, stack.url, add_person("erin", "viewer"))
    page = reader.open("/api/v1/docs")
    page.evaluate(
        """() => { window.heard = [];
        window.stream = new EventSource("/api/v1/events");
        for (const kind of ["hello", "guest", "host", "end"])
          stream.addEventListener(kind, (event) => heard.push([kind, event.lastEventId])); }"""
    )
    until(lambda: page.evaluate("heard.some(([kind]) => kind === 'hello')"), page, seconds=5, saying="it is open")
    admin = ada.open("/people/")
    admin.get_by_role("row").filter(has_text="erin").get_by_role("button", name="End sessions").click()
    until(lambda: page.evaluate("heard.some(([kind]) => kind === 'end')"), page, seconds=8, saying="it is ended")
    reader.close()
