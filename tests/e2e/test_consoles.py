"""Screens and serial lines in the browser: typing, watching, other windows, guests that stop and start."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.e2e.browser import Person, no_navigation
from tests.e2e.consoles import screen_of, serial_text, take_the_line, type_keys
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost


def test_a_text_is_pasted_as_keystrokes(person: Person, tiny: LabGuest) -> None:
    page = person.open_guest(tiny, "console/")
    expect(screen_of(page, tiny)).to_be_visible()
    page.get_by_role("button", name="Paste text").click()
    dialog = page.get_by_role("dialog", name="Type text into the virtual machine")
    dialog.get_by_label("Text", exact=True).fill('echo "Pasted: {~|<>}" \\&\\& $((40+2)) | tee /dev/ttyS0\n')
    dialog.get_by_role("button", name="Type it").click()
    expect(dialog).to_be_hidden(timeout=20_000)
    tiny.wait_for_line(re.escape("Pasted: {~|<>} && 42"), 20)


def test_view_only_keeps_keys_away_from_the_guest(person: Person, tiny: LabGuest) -> None:
    page = person.open_guest(tiny, "console/")
    expect(screen_of(page, tiny)).to_be_visible()
    page.get_by_role("button", name="View only").click()
    expect(page.get_by_role("button", name="Type", exact=True)).to_be_disabled()
    screen_of(page, tiny).click()
    type_keys(page, "echo must-not-arrive >/dev/ttyS0\n")
    page.get_by_role("button", name="View only").click()
    page.get_by_role("button", name="Type", exact=True).click()
    type_keys(page, "echo must-arrive >/dev/ttyS0\n")
    tiny.wait_for_line("must-arrive", 20)
    assert "must-not-arrive" not in tiny.console_log


def test_a_screen_has_a_window_of_its_own(person: Person, tiny: LabGuest) -> None:
    page = person.open_guest(tiny, "console/")
    expect(screen_of(page, tiny)).to_be_visible()
    with person.context.expect_page() as opened:
        page.get_by_role("button", name="New window").click()
    window = opened.value
    expect(screen_of(window, tiny)).to_be_visible()
    expect(window.get_by_role("button", name="New window")).to_have_count(0)
    expect(screen_of(page, tiny)).to_be_visible()


def test_a_screen_comes_back_by_itself_after_reset_force_off_and_start(
    person: Person, host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    guest = make_guest(host, "comes-back")
    page = person.open_guest(guest, "console/")
    same = no_navigation(page)
    off = page.get_by_role("heading", name="The virtual machine is off")
    expect(off).to_be_visible()
    page.locator("[data-overlay]").get_by_role("button", name="Start").click()
    expect(screen_of(page, guest)).to_be_visible(timeout=20_000)

    guest.virsh("reset")
    expect(screen_of(page, guest)).to_be_visible()
    guest.virsh("destroy")
    expect(off).to_be_visible()
    guest.virsh("start")
    expect(screen_of(page, guest)).to_be_visible(timeout=20_000)
    expect(off).to_be_hidden()
    assert same()


def test_a_serial_line_comes_back_by_itself_when_the_guest_starts_again(
    person: Person, host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    guest = make_guest(host, "line-back", start=True)
    page = person.open_guest(guest, "serial/")
    same = no_navigation(page)
    expect(serial_text(page)).to_contain_text(re.compile(r"\d"), timeout=20_000)
    guest.virsh("destroy")
    expect(page.get_by_role("heading", name="The virtual machine is off")).to_be_visible()
    page.locator("[data-overlay]").get_by_role("button", name="Start").click()
    expect(page.locator("[data-overlay]")).to_be_hidden(timeout=20_000)
    expect(serial_text(page)).to_contain_text(re.compile(r"\d"))
    assert same()


def test_several_watch_a_serial_line_one_writes_and_another_takes_over(
    person: Person, people: Callable[..., Person], operator: Any, tiny: LabGuest
) -> None:
    adas, olgas = (someone.open_guest(tiny, "serial/") for someone in (person, people(operator)))
    take_the_line(adas)
    expect(olgas.locator("[data-who]")).to_have_text("ada writes. You watch.")
    expect(olgas.locator("[data-watchers]")).to_have_text("2 windows are open on it")
    adas.keyboard.type("echo by-ada-$((1+1))\n")
    for page in (adas, olgas):
        expect(serial_text(page)).to_contain_text("by-ada-2", timeout=20_000)

    olgas.get_by_role("button", name="Take over").click()
    expect(olgas.locator("[data-who]")).to_have_text("You write.")
    expect(adas.locator("[data-who]")).to_have_text("olga writes. You watch.")
    adas.keyboard.type("echo not-any-more\n")
    olgas.keyboard.type("echo by-olga-$((1+2))\n")
    for page in (adas, olgas):
        expect(serial_text(page)).to_contain_text("by-olga-3", timeout=20_000)
        expect(serial_text(page)).not_to_contain_text("not-any-more")


def test_it_says_so_when_there_is_no_display(
    person: Person, host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    guest = make_guest(host, "blind", display=False, start=True)
    page = person.open_guest(guest, "console/")
    expect(page.get_by_role("heading", name="This virtual machine has no screen")).to_be_visible(timeout=20_000)
