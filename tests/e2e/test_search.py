"""Finding machines: the query language in the box, by keyboard; kept searches, keys, the box over everything, screens."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.e2e.browser import Person, likeness, no_navigation, until
from tests.lab.guests import LabGuest, define
from tests.lab.hosts import LabHost


@pytest.fixture(scope="module")
def machines(host: LabHost, idle_image: Path) -> Iterator[dict[str, LabGuest]]:
    """Three machines: one runs, two are off; tags tell them apart."""
    made = {name: define(host, name, image=idle_image) for name in ("find-web", "find-db", "find-old")}
    tag(made["find-web"], "web", "prod")
    tag(made["find-db"], "db", "prod")
    tag(made["find-old"], "web", "old")
    made["find-web"].virsh("start")
    yield made
    for guest in made.values():
        guest.remove()


def tag(guest: LabGuest, *tags: str) -> None:
    words = "".join(f"<tag>{one}</tag>" for one in tags)
    guest.virsh("metadata", "--config", "urn:kvmweb:guest:1", "--key", "kvmweb", "--set", f"<guest>{words}</guest>")
    if guest.uuid in guest.host.virsh("list", "--uuid").split():
        guest.virsh("metadata", "--live", "urn:kvmweb:guest:1", "--key", "kvmweb", "--set", f"<guest>{words}</guest>")


def open_list(person: Person, machines: dict[str, LabGuest], query: str = "") -> Page:
    for guest in machines.values():
        person.open_guest(guest).close()  # once the monitor knows it
    page = person.open(f"/guests/{query}")
    expect(page.locator("#live-indicator")).to_have_attribute("data-status", "live")
    return page


def rows(page: Page) -> Locator:
    return page.locator("[data-rows] > [data-row] [data-f=name]")


def box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Search virtual machines")


def test_what_one_types_narrows_the_list_and_the_address_keeps_it(
    person: Person, machines: dict[str, LabGuest]
) -> None:
    page = open_list(person, machines)
    same = no_navigation(page)
    box(page).fill("find- tag:web -tag:old")
    expect(rows(page)).to_have_text(["find-web"])
    assert same()
    assert "q=find-" in page.url
    page.reload()
    expect(rows(page)).to_have_text(["find-web"])
    expect(box(page)).to_have_value("find- tag:web -tag:old")


def test_a_search_is_completed_by_keyboard_alone(person: Person, machines: dict[str, LabGuest]) -> None:
    page = open_list(person, machines)
    page.keyboard.press("/")
    expect(box(page)).to_be_focused()
    page.keyboard.type("find- st")
    offered = page.get_by_role("listbox", name="Suggestions").get_by_role("option")
    expect(offered).to_have_count(1)
    expect(box(page)).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    assert box(page).get_attribute("aria-activedescendant") == offered.first.get_attribute("id")
    page.keyboard.press("Enter")
    expect(box(page)).to_have_value("find- state:")
    expect(offered.first).to_have_text("running")
    page.keyboard.type("of")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box(page)).to_have_value("find- state:off ")
    expect(rows(page)).to_have_text(["find-db", "find-old"])
    page.keyboard.type("tag:")
    expect(offered.filter(has_text=re.compile("^prod$"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox", name="Suggestions")).to_be_hidden()


def test_a_wrong_search_is_explained_and_the_rows_stay(person: Person, machines: dict[str, LabGuest]) -> None:
    page = open_list(person, machines, "?q=find-")
    expect(rows(page)).to_have_count(3)
    box(page).fill("find- mem:lots")
    expect(page.locator("#search-error")).to_contain_text("mem: wants a size such as 4G or 512M")
    expect(page.locator("#search-error mark")).to_have_text("lots")
    expect(box(page)).to_have_attribute("aria-invalid", "true")
    expect(rows(page)).to_have_count(3)
    box(page).fill("find- mem:<1G state:running")
    expect(page.locator("#search-error")).to_be_empty()
    expect(rows(page)).to_have_text(["find-web"])
    expect(box(page)).to_have_attribute("aria-invalid", "false")


def test_machines_come_into_a_search_and_leave_it_live(
    person: Person, host: LabHost, machines: dict[str, LabGuest], make_guest: Callable[..., LabGuest]
) -> None:
    page = open_list(person, machines, "?q=find-+-tag:old+mem:<1G")
    expect(rows(page)).to_have_text(["find-db", "find-web"])
    late = make_guest(host, "find-late")
    expect(rows(page)).to_have_text(["find-db", "find-late", "find-web"])
    make_guest(host, "other-name")
    tag(late, "old")
    expect(page.locator("[data-hint]")).to_contain_text("1 change")
    page.locator("[data-hint]").click()
    expect(rows(page)).to_have_text(["find-db", "find-web"])


def test_chips_and_the_host_filter_write_into_the_same_search(person: Person, machines: dict[str, LabGuest]) -> None:
    page = open_list(person, machines, "?q=find-")
    page.locator("[data-state-key=running]").click()
    expect(box(page)).to_have_value("find- state:running")
    expect(rows(page)).to_have_text(["find-web"])
    page.locator("a.g-tag", has_text="prod").click()
    expect(box(page)).to_have_value("tag:prod")
    expect(rows(page)).to_contain_text(["find-db", "find-web"])


def test_a_search_is_kept_and_shared(
    person: Person, people: Callable[..., Person], viewer: Any, machines: dict[str, LabGuest]
) -> None:
    page = open_list(person, machines, "?q=find-+tag:old")
    page.get_by_role("link", name="Keep this search").click()
    page.get_by_label("Name", exact=True).fill("Old machines")
    page.get_by_label("Show it to everybody").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="Old machines")).to_have_attribute("aria-current", "true")
    expect(rows(page)).to_have_text(["find-old"])
    vera = people(viewer).open("/guests/")
    vera.get_by_role("link", name="Old machines").click()
    expect(rows(vera)).to_have_text(["find-old"])
    page.get_by_role("link", name="Change kept searches").click()
    page.get_by_role("row", name="Old machines").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name="Old machines")).to_have_count(0)


def test_columns_are_chosen_in_an_order_and_stay(
    people: Callable[..., Person], operator: Any, machines: dict[str, LabGuest]
) -> None:
    page = open_list(people(operator), machines, "?q=find-")
    page.get_by_role("button", name="Columns").click()
    dialog = page.get_by_role("dialog", name="Columns")
    for name in ("CPU", "Disk", "Network"):
        dialog.get_by_label(name, exact=True).uncheck()
    dialog.get_by_label("vCPUs", exact=True).check()
    for _ in range(9):
        dialog.get_by_role("button", name="vCPUs: further left").click()
    dialog.get_by_role("button", name="Save").click()
    heads = page.locator("thead th[scope=col]:not(.g-select, .g-actions)")
    expect(heads).to_have_text(["Name", "vCPUs", "State", "Host", "Memory", "Addresses", "Uptime"])
    expect(box(page)).to_have_value("find-")
    page.get_by_role("button", name="Columns").click()
    dialog.get_by_role("button", name="The usual ones").click()
    expect(heads).to_have_count(9)


def arrived(page: Page, heading: str | re.Pattern[str]) -> None:
    """The page is there, and its scripts with it: before, nobody hears a key."""
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    expect(page.locator("#live-indicator")).to_have_attribute("data-status", "live")


def test_keys_move_select_open_and_lead_to_every_room(person: Person, machines: dict[str, LabGuest]) -> None:
    page = open_list(person, machines, "?q=find-")
    names = rows(page)
    page.keyboard.press("j")
    expect(names.nth(0)).to_be_focused()
    page.keyboard.press("j")
    expect(names.nth(1)).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator("[data-row] input[data-select]").nth(1)).to_be_checked()
    page.keyboard.press("m")
    expect(page.locator(".g-many-bar button:focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(names.nth(1)).to_be_focused()
    page.keyboard.press("a")
    expect(page.locator("[data-row] input[data-select]:checked")).to_have_count(3)
    page.keyboard.press("a")
    expect(page.locator("[data-row] input[data-select]:checked")).to_have_count(0)
    page.keyboard.press("k")
    expect(names.nth(0)).to_be_focused()
    page.keyboard.press("Enter")
    arrived(page, re.compile("find-db"))
    for keys, heading in (
        ("gh", "Hosts"),
        ("gj", "Jobs"),
        ("gs", "Storage"),
        ("gn", "Networks"),
        ("gv", "Virtual machines"),
    ):
        page.keyboard.type(keys)
        arrived(page, heading)
    page.keyboard.type("gh")
    arrived(page, "Hosts")
    page.keyboard.press("c")
    arrived(page, "Create virtual machine")
    page.go_back()
    arrived(page, "Hosts")
    page.keyboard.type("gv")
    arrived(page, "Virtual machines")
    page.keyboard.press("?")
    helping = page.get_by_role("dialog", name="Keyboard")
    expect(helping).to_contain_text("Next line of the list")
    page.keyboard.type("gh")
    expect(helping).to_be_visible()
    page.keyboard.press("Escape")
    box(page).focus()
    page.keyboard.type("gh?")
    expect(box(page)).to_have_value("gh?")
    arrived(page, "Virtual machines")


def test_single_keys_do_nothing_for_who_switched_them_off(
    people: Callable[..., Person], viewer: Any, machines: dict[str, LabGuest]
) -> None:
    person = people(viewer)
    page = person.open("/preferences/")
    page.get_by_label("Single keys are shortcuts").uncheck()
    page.locator("main form").get_by_role("button", name="Save").click()
    person.open("/guests/", page)
    page.keyboard.type("gh?/")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(box(page)).not_to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_have_text("Virtual machines")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog", name="Find anything")).to_be_visible()
    person.open("/preferences/", page)
    page.get_by_label("Single keys are shortcuts").check()
    page.locator("main form").get_by_role("button", name="Save").click()


def test_the_box_over_everything_jumps_by_keyboard(
    person: Person, host: LabHost, machines: dict[str, LabGuest]
) -> None:
    for guest in machines.values():
        person.open_guest(guest).close()
    page = person.open("/jobs/")
    arrived(page, "Jobs")
    page.keyboard.press("Control+k")
    finding = page.get_by_role("combobox", name="Find anything")
    expect(finding).to_be_focused()
    page.keyboard.type("find-")
    offered = page.get_by_role("listbox", name="Found").get_by_role("option")
    expect(offered.nth(2)).to_contain_text("find-web")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert finding.get_attribute("aria-activedescendant") == offered.nth(2).get_attribute("id")
    page.keyboard.press("Enter")
    arrived(page, re.compile("find-web"))
    page.keyboard.press("Control+k")
    page.keyboard.type(machines["find-db"].uuid[:13])
    expect(offered).to_have_count(1)
    page.keyboard.press("Enter")
    arrived(page, re.compile("find-db"))
    page.get_by_role("link", name="Find anything").click()
    page.keyboard.type("there-is-no-such-thing")
    expect(page.get_by_text("Nothing found.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(finding).to_be_hidden()


def test_screens_show_what_a_real_guest_shows(
    people: Callable[..., Person], operator: Any, machines: dict[str, LabGuest], tmp_path: Path
) -> None:
    someone = people(operator)
    page = open_list(someone, machines, "?q=find-")
    page.get_by_role("button", name="Screens").click()
    web = machines["find-web"]
    card = page.locator(f".g-card[data-row$='{web.uuid}']")
    image = card.locator("img[data-shot]")
    expect(image).to_be_visible(timeout=40_000)
    shown = Image.open(io.BytesIO(someone.context.request.get(image.get_attribute("src") or "").body())).convert("RGB")
    web.virsh("screenshot", str(tmp_path / "theirs"))
    theirs = Image.open(tmp_path / "theirs").convert("RGB").resize(shown.size)
    assert likeness(shown, theirs) > 0.9
    expect(page.locator(f".g-card[data-row$='{machines['find-db'].uuid}'] img")).to_be_hidden()
    expect(page.locator(f".g-card[data-row$='{machines['find-db'].uuid}']")).to_contain_text("Off")
    first = image.get_attribute("src")
    until(lambda: image.get_attribute("src") != first, page, seconds=40, saying="the screen counts seconds on")
    web.virsh("destroy")
    expect(image).to_be_hidden(timeout=15_000)
    expect(card).to_contain_text("Off")
    web.virsh("start")
    expect(image).to_be_visible(timeout=40_000)
    someone.open("/guests/", page)
    expect(page.locator(".g-cards")).to_be_visible()
    page.get_by_role("button", name="Table").click()
    expect(page.locator("table.g-table")).to_be_visible()


def test_the_start_page_says_what_is_wrong_as_it_happens(person: Person, machines: dict[str, LabGuest]) -> None:
    open_list(person, machines).close()
    page = person.open("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("What needs attention")
    same = no_navigation(page)
    running = page.get_by_role("link", name=re.compile(r"\d+ running"))
    number = int((running.inner_text()).split()[0])
    machines["find-db"].virsh("start")
    expect(running).to_have_text(f"{number + 1} running", timeout=15_000)
    machines["find-db"].virsh("destroy")
    expect(running).to_have_text(f"{number} running", timeout=15_000)
    assert same()
