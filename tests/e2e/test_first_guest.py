"""The main job, end to end: the first administrator, a pool, an ISO, a guest, work on its screen, and nothing left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.browser import Person, canvas_picture, file_picture, likeness, selected_line, until
from tests.e2e.stack import Stack
from tests.lab.hosts import LabHost

ISO = Path("/usr/lib/grub-rescue/grub-rescue-cdrom.iso")
NAME = "first-guest"


@pytest.fixture
def clean_host(host: LabHost) -> Iterator[LabHost]:
    """The host without the guest and volumes of this test, before and after."""

    def clean() -> None:
        if NAME in host.virsh("list", "--all", "--name").split():
            if NAME in host.virsh("list", "--name").split():
                host.virsh("destroy", NAME)
            host.virsh("undefine", NAME, "--nvram")
        for path in host.images.glob(f"{NAME}*") if host.images.exists() else []:
            path.unlink()

    clean()
    yield host
    clean()


def test_the_setup_link_works_once(person: Person, stack: Stack) -> None:
    person.allow("404")
    page = person.open("/guests/")
    answer = page.goto(stack.setup_link)
    assert answer is not None
    assert answer.status == 404


def test_a_first_guest_from_an_iso_is_made_worked_on_and_deleted(
    person: Person, page: Page, clean_host: LabHost, tmp_path: Path
) -> None:
    assert ISO.exists(), f"{ISO} is missing (Debian: grub-rescue-pc)"
    host = clean_host
    _make_the_default_pool(person, page, host)
    _put_an_iso_into_it(page, host)
    _fill_in_the_form(page)
    page.get_by_role("button", name="Create and start").click()
    expect(page).to_have_url(re.compile(r"/guests/[0-9a-f-]+/console/"), timeout=40_000)
    expect(page.get_by_role("img", name=f"Screen of {NAME}")).to_be_visible(timeout=20_000)

    until(lambda: selected_line(canvas_picture(page)), page, seconds=60, saying="the canvas shows the GRUB menu")
    page.get_by_role("button", name="Type", exact=True).click()
    first = selected_line(_both_show_the_same(page, host, tmp_path, "the GRUB menu"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    until(lambda: selected_line(canvas_picture(page)) == first + 2, page, saying="the arrow keys moved the selection")
    page.keyboard.press("ArrowUp")
    until(lambda: selected_line(canvas_picture(page)) == first + 1, page, saying="the arrow key moved it back")
    assert selected_line(_both_show_the_same(page, host, tmp_path, "one line down")) == first + 1

    _force_off(page)
    _delete_with_its_disk(page)
    assert NAME not in host.virsh("list", "--all", "--name").split()
    volumes = [line.split()[0] for line in host.virsh("vol-list", "default").splitlines()]
    assert ISO.name in volumes, "the ISO was not ticked and stays"
    assert not [name for name in volumes if name.startswith(NAME)]
    page.get_by_role("link", name="All virtual machines").click()
    expect(page.locator("#guest-list")).not_to_contain_text(NAME)


def _make_the_default_pool(person: Person, page: Page, host: LabHost) -> None:
    person.open("/hosts/", page)
    page.get_by_role("link", name=host.name, exact=True).click()
    checks = page.locator("#host-checks")
    if "default" in host.virsh("pool-list", "--all", "--name").split():
        return  # another test's
    checks.get_by_role("button", name="Check", exact=True).click()
    expect(checks).to_contain_text("libvirt answers", timeout=20_000)
    checks.get_by_role("button", name="Make the default pool").click()
    expect(page.locator("#host-parts").get_by_role("link", name="default")).to_be_visible(timeout=20_000)
    expect(checks.get_by_role("button", name="Make the default pool")).to_be_hidden()
    assert "default" in host.virsh("pool-list", "--name", "--autostart").split()


def _put_an_iso_into_it(page: Page, host: LabHost) -> None:
    host.put(ISO)
    page.locator("#host-parts").get_by_role("link", name="default").click()
    page.get_by_role("button", name="Look for new volumes").click()
    expect(page.get_by_role("rowheader", name=ISO.name)).to_be_visible(timeout=20_000)


def _fill_in_the_form(page: Page) -> None:
    page.get_by_role("link", name="Virtual machines").first.click()
    page.get_by_role("link", name="Create virtual machine").first.click()
    page.get_by_label("Name", exact=True).fill(NAME)
    expect(page.get_by_label("ISO", exact=True)).to_contain_text(ISO.name)
    page.get_by_label("vCPUs").fill("1")
    page.get_by_label("Memory (MiB)").fill("128")
    page.get_by_label("Size (GiB)").fill("1")
    summary = page.locator("[data-summary]")
    expect(summary).to_contain_text(NAME)
    expect(summary).to_contain_text("1 vCPU · 128 MiB")
    expect(summary).to_contain_text("Emulation, slow")


def _both_show_the_same(page: Page, host: LabHost, folder: Path, what: str) -> Image.Image:
    """Wait until the canvas shows what virsh sees, and print how alike they are."""
    best = 0.0

    def alike() -> Image.Image | None:
        nonlocal best
        host.virsh("screenshot", NAME, str(folder / "shot"))
        drawn = canvas_picture(page)
        best = max(best, likeness(file_picture(folder / "shot"), drawn))
        return drawn if best > 0.995 else None

    picture: Image.Image = until(alike, page, saying=f"canvas and virsh screenshot show {what}: {best:.2%}")
    print(
        f"{what}: {best:.2%} of the pixels of canvas and virsh screenshot are alike ({picture.width}×{picture.height})"
    )
    return picture


def _force_off(page: Page) -> None:
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Force off").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("It has been running for")
    asked.get_by_role("button", name="Force off").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Off")
    expect(page.get_by_role("heading", name="The virtual machine is off")).to_be_visible()


def _delete_with_its_disk(page: Page) -> None:
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Delete").click()
    dialog = page.get_by_role("dialog", name=f"Delete {NAME}")
    delete = dialog.get_by_role("button", name="Delete")
    expect(delete).to_be_disabled()
    expect(dialog.get_by_role("checkbox", checked=True)).to_have_count(0)
    dialog.get_by_role("checkbox", name=f"{NAME}-").check()
    expect(dialog).to_contain_text("Is deleted for good.")
    dialog.get_by_label("Type its name to confirm").fill(NAME)
    delete.click()
    expect(page.locator("#guest-notice")).to_contain_text("This virtual machine has been deleted.", timeout=20_000)
