"""What people with fewer rights see, and how quickly lost rights are felt."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.e2e.browser import Person, confirm
from tests.e2e.consoles import screen_of, type_keys
from tests.lab.guests import LabGuest

POST = """async (uuid) => {
  const { postJSON } = await import("kvmweb/net");
  try {
    await postJSON("/operations/guest.force_off/", { kind: "guest", key: uuid, params: {} });
    return 202;
  } catch (error) {
    return error.status;
  }
}"""


def set_person(person: Person, name: str, *, role: str = "", may_sign_in: bool = True) -> Page:
    """The administrator changes somebody on the page for it."""
    page = person.open("/people/")
    page.get_by_role("link", name=name).click()
    if role:
        page.get_by_label("Role").select_option(role)
    page.get_by_label("May sign in").set_checked(may_sign_in)
    page.get_by_role("button", name="Save").click()
    confirm(page)
    expect(page.get_by_text(f"{name} was changed.")).to_be_visible()
    return page


def test_a_viewer_sees_everything_and_may_start_nothing(
    people: Callable[..., Person], viewer: Any, tiny: LabGuest
) -> None:
    vera = people(viewer)
    vera.allow("403")
    for path in ("/", "/hosts/", "/storage/", "/networks/", "/jobs/", f"/guests/{tiny.uuid}/"):
        page = vera.open(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator("[data-operation]:visible, [data-operation-form]:visible")).to_have_count(0)
        expect(page.get_by_role("link", name="Create virtual machine")).to_have_count(0)
        expect(page.get_by_role("link", name="Add host")).to_have_count(0)
    page.get_by_role("button", name="More").click()
    expect(page.get_by_role("menuitem")).to_have_text(["Open the screen", "What may I do here?"])
    assert page.evaluate(POST, tiny.uuid) == 403
    for path in ("/guests/new/", "/hosts/new/", "/people/", "/audit/"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 403, path
    assert "running" in tiny.virsh("domstate")


def test_a_viewer_watches_a_screen_and_cannot_type_into_it(
    people: Callable[..., Person], viewer: Any, tiny: LabGuest
) -> None:
    vera = people(viewer)
    page = vera.open_guest(tiny, "console/")
    expect(screen_of(page, tiny)).to_be_visible()
    expect(page.get_by_text("You may watch this screen, not work on it.")).to_be_visible()
    for name in ("Type", "Send keys", "Paste text"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    screen_of(page, tiny).click()
    type_keys(page, "echo a-viewer-typed >/dev/ttyS0\n")
    vera.open(f"/guests/{tiny.uuid}/serial/", page)
    expect(page.locator("[data-who]")).to_have_text(
        "Nobody writes. You may watch this line, not write on it.", timeout=20_000
    )
    assert "a-viewer-typed" not in tiny.console_log


def test_lost_rights_end_what_is_open_within_five_seconds(
    person: Person, people: Callable[..., Person], add_person: Callable[[str, str], Any], tiny: LabGuest
) -> None:
    otto = people(add_person("otto", "operator"))
    otto.allow("401", "403")
    page = otto.open_guest(tiny, "console/")
    expect(screen_of(page, tiny)).to_be_visible()
    expect(page.get_by_role("button", name="View only")).to_be_enabled()

    set_person(person, "otto", role="viewer")
    began = time.monotonic()
    expect(page.get_by_role("button", name="Type", exact=True)).to_be_disabled(timeout=5_000)
    expect(page.get_by_role("button", name="View only")).to_be_disabled(timeout=5_000)
    print(
        f"an operator's screen stopped taking keys {time.monotonic() - began:.1f} s after the role had been taken away"
    )
    expect(screen_of(page, tiny)).to_be_visible()
    assert page.evaluate(POST, tiny.uuid) == 403

    set_person(person, "otto", may_sign_in=False)
    began = time.monotonic()
    expect(page.get_by_role("heading", name="You have been signed out")).to_be_visible(timeout=5_000)
    print(f"a screen closed {time.monotonic() - began:.1f} s after its person had been shut out")
    expect(page.locator("#live-indicator")).to_contain_text("Signed out")
