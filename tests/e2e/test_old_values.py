"""What is old is shown as old: no figure without its age, nothing green that nobody vouches for, no older picture over news."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.e2e.browser import Person
from tests.e2e.stack import Stack
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost, wait_for
from tests.survival.faults import MARKS, process_of, stopped

COLOUR = "(element) => getComputedStyle(element).color"
Make = Callable[..., LabGuest]


def test_a_monitor_that_hangs_leaves_no_green_state_and_no_figure_without_its_age(
    person: Person, stack: Stack, host: LabHost, make_guest: Make
) -> None:
    guest = make_guest(host, "ageing", start=True)
    page = person.open("/guests/")
    row = page.locator(f"tr[data-row$='{guest.uuid}']")
    icon, figure = row.locator(".state .icon"), row.locator("[data-f=cpu]")
    expect(row).to_contain_text("Running")
    expect(figure).to_contain_text("%")
    expect(page.locator("#live-indicator")).to_have_attribute("data-status", "live")
    green, told = icon.evaluate(COLOUR), figure.evaluate(COLOUR)
    expect(figure).not_to_have_class(re.compile("is-old"))
    assert stack.process is not None
    with stopped(process_of(stack.process.pid, MARKS["monitor"]).pid):
        expect(figure).to_have_class(re.compile("is-old"), timeout=20_000)
        expect(figure).to_have_attribute("title", re.compile(r"^[\d.]+ s old$"))
        assert figure.evaluate(COLOUR) != told
        expect(page.locator("#stale-banner")).to_contain_text("or older", timeout=30_000)
        expect(page.locator("body")).to_have_attribute("data-old", "true")
        assert icon.evaluate(COLOUR) != green
        greens = page.evaluate(
            "(green) => [...document.querySelectorAll('main .icon')].filter((one) => getComputedStyle(one).color === green).length",
            green,
        )
        assert greens == 0
        fresh = person.open("/guests/")
        expect(fresh.locator("body")).to_have_attribute("data-old", "true")
        fresh.close()
    expect(page.locator("#stale-banner")).to_be_hidden(timeout=20_000)
    expect(page.locator("body")).not_to_have_attribute("data-old", "true")
    expect(figure).not_to_have_class(re.compile("is-old"), timeout=20_000)
    assert icon.evaluate(COLOUR) == green


def test_a_picture_fetched_before_a_change_does_not_hide_it(person: Person, host: LabHost, make_guest: Make) -> None:
    """The list is fetched anew, and its answer is held back while the guest is paused."""
    guest = make_guest(host, "overtaken", start=True)
    page = person.open("/guests/")
    row = page.locator(f"tr[data-row$='{guest.uuid}']")
    expect(row).to_contain_text("Running")
    held: list[object] = []

    def hold(route: object) -> None:
        answer = route.fetch()  # type: ignore[attr-defined]
        guest.virsh("suspend")
        expect(row.locator(".state-word")).to_have_text("Paused")
        held.append(answer)
        route.fulfill(response=answer)  # type: ignore[attr-defined]

    page.route(re.compile(r"/guests/(\?.*)?$"), hold)
    page.evaluate("document.dispatchEvent(new CustomEvent('kvmweb:resync'))")
    wait_for(lambda: page.wait_for_timeout(50) or held, seconds=15, saying="the old picture came")
    page.wait_for_timeout(1000)
    expect(row.locator(".state-word")).to_have_text("Paused")
    page.unroute(re.compile(r"/guests/(\?.*)?$"))
