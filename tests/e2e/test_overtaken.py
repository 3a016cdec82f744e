"""Messages that are lost, answers that come late, answers that do not come: the page ends with what is true."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import redis
from playwright.sync_api import expect

from tests.e2e.browser import Person, no_navigation
from tests.e2e.stack import Stack
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost, wait_for
from tests.survival.faults import MARKS, process_of, stopped
from tests.survival.invariants import Truth

Make = Callable[..., LabGuest]


def test_a_message_that_is_lost_is_made_good_on_an_open_page(
    person: Person, stack: Stack, host: LabHost, make_guest: Make
) -> None:
    """Redis forgets everything before the web process, which hangs, has read what the monitor said.

    What the web process was waiting for when it began to hang has reached it already: that is the first guest's news.
    """
    first, guest = make_guest(host, "heard", start=True), make_guest(host, "unheard", start=True)
    page = person.open("/guests/")
    same = no_navigation(page)
    word = page.locator(f"tr[data-row$='{guest.uuid}'] .state-word")
    expect(word).to_have_text("Running")
    truth = Truth(stack.database, host, "")
    known = "SELECT id FROM inventory_guest WHERE uuid = ? AND state = 'paused'"
    assert stack.process is not None
    with stopped(process_of(stack.process.pid, MARKS["web"]).pid):
        for one in (first, guest):
            one.virsh("suspend")
            wait_for(lambda one=one: truth.rows(known, truth.key(one.uuid)), saying="the monitor knows it")
        with redis.Redis(unix_socket_path=str(stack.state / "run" / "redis.sock")) as client:
            client.flushall()
    expect(word).to_have_text("Paused", timeout=15_000)
    assert same(), "the page was loaded anew"


def test_the_late_answer_to_a_click_does_not_hide_what_the_job_did_meanwhile(
    person: Person, host: LabHost, make_guest: Make
) -> None:
    """The answer says that the job waits, and the live stream has long said that it runs."""
    guest = make_guest(host, "eager")
    page = person.open_guest(guest)
    card = page.locator("[data-drawer-jobs] [data-job]").first
    answered: list[Any] = []

    def hold(route: Any) -> None:
        answer = route.fetch()
        assert answer.json()["job"]["state"] == "queued"
        expect(card).to_have_attribute("data-state", "running")
        route.fulfill(response=answer)
        answered.append(answer)

    page.route(re.compile("/operations/guest.start/"), hold)
    with stopped(host.libvirtd_pid):
        page.get_by_role("button", name="Start", exact=True).click()
        wait_for(lambda: page.wait_for_timeout(50) or answered, saying="the answer came")
        expect(card).to_be_visible()
        page.wait_for_timeout(300)
        expect(card).to_have_attribute("data-state", "running", timeout=100)
    expect(card).to_have_attribute("data-state", "succeeded")


def test_parts_that_nobody_answered_for_are_asked_for_again(person: Person, host: LabHost, make_guest: Make) -> None:
    """The message that made them old came before the web process died, and is not told twice."""
    guest = make_guest(host, "unanswered")
    page = person.open_guest(guest)
    person.allow("answer 502", "Failed to load resource")
    refused: list[str] = []

    def refuse(route: Any) -> None:
        if len(refused) < 2:
            refused.append(route.request.url)
            route.fulfill(status=502, body="Bad Gateway", content_type="text/html")
        else:
            route.continue_()

    page.route(re.compile(rf"/guests/{guest.uuid}/(\?.*)?$"), refuse)
    guest.virsh("start")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Running")
    expect(page.get_by_role("button", name="Shut down", exact=True)).to_be_visible(timeout=20_000)
    assert len(refused) == 2


def test_what_is_done_to_a_guest_goes_from_a_page_that_was_fetched_while_it_was_done(
    person: Person, host: LabHost, make_guest: Make
) -> None:
    """A shutdown that the guest ignores is cancelled: nothing but the end of the job takes its words away."""
    guest = make_guest(host, "begun", start=True)
    detail = person.open_guest(guest)
    shut_down = detail.get_by_role("button", name="Shut down", exact=True)
    cancel = detail.locator("[data-drawer-jobs] [data-job-cancel]:visible")
    busy = re.compile("^Shut down.*…$")
    shut_down.click()
    listing = person.open("/guests/")
    words = listing.locator(f"tr[data-row$='{guest.uuid}'] [data-f=reason]")
    expect(words).to_have_text(busy)
    cancel.click()
    expect(words).to_have_text("")

    shut_down.click()
    expect(words).to_have_text(busy)
    held: list[Any] = []

    def hold(route: Any) -> None:
        answer = route.fetch()
        cancel.click()
        expect(words).to_have_text("")
        held.append(answer)
        route.fulfill(response=answer)

    listing.route(re.compile(r"/guests/(\?.*)?$"), hold)
    listing.evaluate("document.dispatchEvent(new CustomEvent('kvmweb:resync'))")
    wait_for(lambda: listing.wait_for_timeout(50) or held, seconds=15, saying="the old picture came")
    listing.wait_for_timeout(500)
    expect(words).to_have_text("", timeout=100)
    listing.unroute(re.compile(r"/guests/(\?.*)?$"))
