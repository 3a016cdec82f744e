"""Many machines at once, by hand: ticking, all that match, one that fails and is tried again when it is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.browser import Person, until
from tests.e2e.looks import against_wcag, too_wide, unfilled
from tests.lab.guests import LabGuest, define
from tests.lab.hosts import LabHost, wait_for

FLOCK = 52


@pytest.fixture(scope="module")
def flock(host: LabHost) -> Iterator[list[LabGuest]]:
    """More machines than a page has rows; none is ever started."""
    made = [define(host, f"flock-{number:02}") for number in range(FLOCK)]
    yield made
    for guest in made:
        guest.remove()


def bar_of(page: Page) -> Locator:
    return page.get_by_role("toolbar", name="What to do with the selected machines")


def boxes(page: Page) -> Locator:
    return page.locator("#guest-list [data-select]")


def open_list(person: Person, search: str, number: int) -> Page:
    wait_for(
        lambda: person.context.request.get(f"/api/v1/guests?q={search}&count=true").json()["total"] == number,
        seconds=30,
        saying=f"kvmweb knows {number} of {search}",
    )
    return person.open(f"/guests/?q={search}")


def look_at(person: Person, page: Page, picture: Path) -> None:
    with person.excused("style"):  # the picture and axe bring style of their own
        page.screenshot(path=picture)
        assert not against_wcag(page) + unfilled(page) + too_wide(page)


def test_all_that_match_are_tagged_and_who_comes_meanwhile_is_asked_about(
    person: Person, host: LabHost, flock: list[LabGuest]
) -> None:
    page = open_list(person, "flock-", FLOCK)
    page.get_by_role("checkbox", name="Select all on this page").check()
    bar = bar_of(page)
    expect(bar).to_contain_text("50 selected")
    expect(bar.get_by_role("button", name="Start (50)")).to_be_visible()
    bar.get_by_role("button", name=f"Select all {FLOCK} that match").click()
    expect(bar).to_contain_text(f"{FLOCK} selected")

    page.get_by_role("link", name="Next").click()
    expect(boxes(page)).to_have_count(FLOCK - 50)
    expect(bar_of(page)).to_contain_text(f"{FLOCK} selected")
    expect(boxes(page).first).to_be_checked()
    boxes(page).first.uncheck()
    expect(bar_of(page)).to_contain_text(f"{FLOCK - 1} selected")

    bar_of(page).get_by_role("button", name=f"Add or remove tags ({FLOCK - 1})").click()
    question = page.get_by_role("dialog", name="Add or remove tags")
    expect(question).to_contain_text(f"and {FLOCK - 11} more")
    late = define(host, "flock-late")
    try:
        wait_for(
            lambda: person.context.request.get("/api/v1/guests?q=flock-late&count=true").json()["total"],
            saying="kvmweb knows it",
        )
        person.allow("answer 409.*/operations/many/", "the server responded with a status of 409")
        question.get_by_label("Add these tags").fill("herd")
        question.get_by_role("button", name="Add or remove tags").click()
        expect(question).to_contain_text(f"Meanwhile it is about {FLOCK} machines and not {FLOCK - 1}.")
        question.get_by_label("Add these tags").fill("herd")
        question.get_by_role("button", name="Add or remove tags").click()
        expect(question).to_have_count(0)
        expect(bar_of(page)).to_be_hidden()
        card = page.locator("#job-drawer .job:not(.is-old)")
        expect(card).to_have_count(1)
        expect(card).to_contain_text(f"{FLOCK} virtual machines")
        expect(card).to_have_attribute("data-state", "succeeded", timeout=60_000)
        tagged = {one.name for one in [*flock, late] if "herd" in host.virsh("dumpxml", one.uuid, "--inactive")}
        assert tagged == {one.name for one in [*flock, late]} - {"flock-50"}
    finally:
        late.remove()


def test_a_row_of_boxes_is_ticked_with_shift_and_kept_while_the_list_is_narrowed(
    person: Person, flock: list[LabGuest]
) -> None:
    page = open_list(person, "flock-", FLOCK)
    boxes(page).nth(2).check()
    boxes(page).nth(6).click(modifiers=["Shift"])
    expect(bar_of(page)).to_contain_text("5 selected")
    expect(boxes(page).nth(4)).to_be_checked()
    page.get_by_label("Search virtual machines").fill("flock-03")
    expect(boxes(page)).to_have_count(1)
    expect(boxes(page).first).to_be_checked()
    expect(bar_of(page)).to_contain_text("4 are not on this page")
    page.reload()
    expect(bar_of(page)).to_contain_text("5 selected")
    bar_of(page).get_by_role("button", name="Clear the selection").click()
    expect(bar_of(page)).to_be_hidden()
    expect(boxes(page).first).not_to_be_checked()


def test_one_of_four_fails_and_is_tried_again_when_it_is_mended(
    person: Person, host: LabHost, make_guest: Callable[..., LabGuest], tmp_path: Path
) -> None:
    guests = [make_guest(host, f"sheep{number}") for number in range(4)]
    disk = host.images / f"{guests[2].name}.raw"
    disk.rename(disk.with_suffix(".away"))
    page = open_list(person, "sheep", 4)
    for number in range(4):
        boxes(page).nth(number).check()
    bar_of(page).get_by_role("button", name="Start (4)").click()
    question = page.get_by_role("dialog", name="Start: 4 virtual machines")
    expect(question).to_contain_text("sheep3")
    question.get_by_role("button", name="Start", exact=True).click()

    card = page.locator("#job-drawer .job:not(.is-old)")
    expect(card).to_contain_text("1 of 4 failed.", timeout=60_000)
    expect(card).to_have_count(1)
    running = page.locator("tbody tr[data-shown=running]")
    expect(running).to_have_count(3)
    with person.excused("style"):
        page.screenshot(path=tmp_path / "card.png")
    card.get_by_role("link", name="4 virtual machines").click()
    results = page.locator("#job-children")
    expect(results.locator("tbody tr")).to_have_count(4)
    look_at(person, page, tmp_path / "results.png")
    results.get_by_role("link", name="Failed 1").click()
    expect(results.locator("tbody tr")).to_have_count(1)
    expect(results.locator("tbody tr")).to_contain_text("sheep2")

    disk.with_suffix(".away").rename(disk)
    page.get_by_role("button", name="Try the rest again").click()
    expect(results.locator("tbody tr")).to_have_count(1)
    expect(page.locator("#job-state")).to_contain_text("Done", timeout=30_000)
    until(lambda: guests[2].virsh("domstate") == "running", page, saying="the mended one runs")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_bar_and_the_question_look_well(
    people: Callable[..., Person], flock: list[LabGuest], tmp_path: Path, width: int, theme: str
) -> None:
    person = people(viewport={"width": width, "height": 900}, color_scheme=theme)
    page = open_list(person, "flock-", FLOCK)
    boxes(page).first.check()
    boxes(page).nth(1).check()
    expect(bar_of(page).get_by_role("button", name="Start (2)")).to_be_visible()
    look_at(person, page, tmp_path / f"bar-{theme}-{width}.png")
    bar_of(page).get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Delete (2)").click()
    question = page.get_by_role("dialog", name="Delete: 2 virtual machines")
    expect(question.get_by_role("radio", name="Keep all disks")).to_be_checked()
    expect(question.get_by_role("button", name="Delete")).to_be_disabled()
    look_at(person, page, tmp_path / f"question-{theme}-{width}.png")
    question.get_by_label("Type how many machines").fill("2")
    expect(question.get_by_role("button", name="Delete")).to_be_enabled()


def test_the_bar_and_the_question_speak_chinese(people: Callable[..., Person], flock: list[LabGuest]) -> None:
    page = open_list(people(locale="zh-CN"), "flock-", FLOCK)
    boxes(page).first.check()
    boxes(page).nth(1).check()
    bar = page.get_by_role("toolbar", name="对所选虚拟机的操作")
    expect(bar).to_contain_text("已选择 2 台")
    bar.get_by_role("button", name="更多").click()
    page.get_by_role("menuitem", name="删除 (2)").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("2 台虚拟机")
    expect(question.get_by_role("radio", name="保留所有磁盘")).to_be_checked()
