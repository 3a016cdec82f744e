"""The tools around a screen and a serial line: combinations, the way out, pictures, and words that only look like orders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.browser import Person, until
from tests.e2e.consoles import screen_of, serial_text, take_the_line
from tests.lab.guests import LabGuest, TinyImages
from tests.lab.hosts import LabHost


def test_a_combination_goes_through_libvirt_and_the_chord_gives_the_keyboard_back(
    person: Person, host: LabHost, tiny_images: TinyImages, make_guest: Callable[..., LabGuest]
) -> None:
    guest = make_guest(host, "combined", tiny=tiny_images, start=True)
    guest.wait_for_line("TINY READY")
    page = person.open_guest(guest, "console/")
    expect(screen_of(page, guest)).to_be_visible()
    page.get_by_role("button", name="Send keys").click()
    page.get_by_role("menuitem", name="Ctrl+Alt+Del").click()
    until(lambda: "TINY shutdown" in guest.console_log, page, saying="Ctrl+Alt+Del reboots the guest")
    expect(screen_of(page, guest)).to_be_focused()
    for key in ("Control", "Alt", "Shift"):
        page.keyboard.down(key)
    for key in ("Shift", "Alt", "Control"):
        page.keyboard.up(key)
    expect(page.get_by_role("button", name="Type", exact=True)).to_be_focused()


def test_a_screenshot_is_a_picture_of_the_screen(person: Person, tiny: LabGuest) -> None:
    page = person.open_guest(tiny, "console/")
    expect(screen_of(page, tiny)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Screenshot").click()
    assert download.value.suggested_filename.startswith("tiny-")
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_typed_is_named_and_typing_can_be_stopped(person: Person, tiny: LabGuest) -> None:
    page = person.open_guest(tiny, "console/")
    expect(screen_of(page, tiny)).to_be_visible()
    page.get_by_role("button", name="Paste text").click()
    dialog = page.get_by_role("dialog", name="Type text into the virtual machine")
    text = dialog.get_by_label("Text", exact=True)
    text.fill("größe")
    expect(dialog).to_contain_text("A US keyboard cannot type these, they are left out: ö ß")
    text.fill("#" * 2000)
    dialog.get_by_role("button", name="Type it").click()
    dialog.get_by_role("button", name="Stop").click()
    expect(dialog.get_by_role("progressbar")).to_be_hidden()
    expect(dialog.get_by_role("button", name="Type it")).to_be_enabled()
    text.fill("\n")
    dialog.get_by_role("button", name="Type it").click()
    expect(dialog).to_be_hidden()


def test_what_a_guest_says_on_its_line_is_text(person: Person, tiny: LabGuest) -> None:
    page = person.open_guest(tiny, "serial/")
    asked: list[str] = []
    page.on("dialog", lambda dialog: _dismiss(dialog, asked))
    take_the_line(page)
    page.keyboard.type(
        r"printf '\033]0;owned\007\033]52;c;b3duZWQ=\007\033]8;;javascript:alert(1)\007li''nk\033]8;;\007"
        "<img src=x onerror=alert(1)>\\n'\n"
    )
    expect(serial_text(page)).to_contain_text("link<img src=x onerror=alert(1)>", timeout=20_000)
    place = page.get_by_text("link<img").first.bounding_box()
    assert place is not None
    page.mouse.click(place["x"] + 10, place["y"] + 5)
    assert not asked
    assert "owned" not in page.title()
    assert _elements_made_by_the_guest(page) == 0


def _dismiss(dialog: object, asked: list[str]) -> None:
    asked.append(dialog.message)  # type: ignore[attr-defined]
    dialog.dismiss()  # type: ignore[attr-defined]


def _elements_made_by_the_guest(page: Page) -> int:
    return page.locator(".xterm a, .xterm img").count()
