"""What the tests of consoles share: the terminal's text, taking the line, and keys into a screen."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.lab.guests import LabGuest


def serial_text(page: Page) -> Locator:
    """The terminal's lines."""
    return page.locator(".xterm-rows")


def take_the_line(page: Page) -> None:
    """Become the one who writes, with the keyboard in the terminal."""
    expect(page.locator("[data-overlay]")).to_be_hidden(timeout=30_000)
    take = page.locator("[data-do=take]")
    if take.is_visible():
        take.click()
    expect(page.locator("[data-who]")).to_have_text("You write.")
    page.locator(".xterm-helper-textarea").focus()


def screen_of(page: Page, guest: LabGuest) -> Locator:
    """The canvas of a screen that is connected."""
    return page.get_by_role("img", name=f"Screen of {guest.name}")


SHIFTED = {">": "Period", "<": "Comma", "|": "Backslash", "$": "Digit4", "(": "Digit9", ")": "Digit0", "_": "Minus"}


def type_keys(page: Page, text: str) -> None:
    """Press keys as a hand does: with Shift where it belongs, which a screen gets as a key of its own."""
    for character in text:
        key = SHIFTED.get(character) or (f"Key{character}" if character.isupper() else "")
        if key:
            page.keyboard.down("Shift")
        page.keyboard.press(key or {"\n": "Enter", " ": "Space"}.get(character, character))
        if key:
            page.keyboard.up("Shift")
