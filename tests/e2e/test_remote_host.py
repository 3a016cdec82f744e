"""A host that is reached by SSH: enrolled through the form, its consoles in the browser, its link cut and mended."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import Person, canvas_picture, selected_line, until
from tests.e2e.consoles import serial_text, take_the_line
from tests.lab.guests import LabGuest, TinyImages
from tests.lab.hosts import LabHost

ISO = Path("/usr/lib/grub-rescue/grub-rescue-cdrom.iso")
CUT_SECONDS = 40.0
"""A silent link is noticed by keepalive: 3 × 5 s, and a few more."""


@pytest.fixture
def link_is_mended(far_host: LabHost) -> Iterator[None]:
    yield
    far_host.uncut()


@pytest.mark.usefixtures("link_is_mended")
@pytest.mark.timeout(300)
def test_a_host_over_ssh_from_its_form_to_a_cut_link_and_back(
    person: Person, far_host: LabHost, make_guest: Callable[..., LabGuest], tiny_images: TinyImages
) -> None:
    tiny = make_guest(far_host, "far-tiny", tiny=tiny_images, start=True)
    grub = make_guest(far_host, "far-grub", image=ISO, memory_mib=64)
    page = person.open("/hosts/")
    _enrol(page, far_host)

    _screen_and_keys(person, grub)
    grub.virsh("destroy")
    tiny.wait_for_line("TINY READY")
    serial = person.open_guest(tiny, "serial/")
    take_the_line(serial)
    serial.keyboard.type("echo answer $((6 * 7))\n")
    expect(serial_text(serial)).to_contain_text("answer 42", timeout=20_000)
    serial.close()

    _cut_and_mend(person, page, far_host, tiny)


def _enrol(page: Page, host: LabHost) -> None:
    """Add it, approve its key, give it ours as the page says, check again."""
    page.get_by_role("link", name="Add host").first.click()
    page.get_by_label("Name", exact=True).fill("far")
    page.get_by_label("Reached by", exact=True).select_option("ssh")
    page.get_by_label("Address", exact=True).fill(host.address)
    page.get_by_label("User", exact=True).fill("root")
    page.get_by_role("button", name="Add and check").click()

    checks = page.locator("#host-checks")
    approve = checks.get_by_role("button", name="They are the same: approve")
    expect(approve).to_be_visible(timeout=20_000)
    theirs = host.exec("ssh-keygen", "-lf", "/etc/ssh/lab_host_key").split()[1]
    expect(checks.locator(".key-list")).to_contain_text(theirs)
    approve.click()

    expect(checks).to_contain_text("root may not sign in with this key yet.", timeout=20_000)
    command = checks.locator("pre").filter(has_text="authorized_keys").inner_text()
    host.exec("sh", "-c", command)
    host.exec("sh", "-c", "cat /root/.ssh/authorized_keys >> /etc/ssh/lab_authorized_keys")  # where its sshd looks
    checks.get_by_role("button", name="Check", exact=True).click()
    expect(checks).to_contain_text("Reading and writing", timeout=30_000)
    expect(page.locator("[data-row^='host/']").first).to_contain_text("Live", timeout=30_000)


def _screen_and_keys(person: Person, grub: LabGuest) -> None:
    grub.virsh("start")
    page = person.open_guest(grub, "console/")
    expect(page.get_by_role("img", name=f"Screen of {grub.name}")).to_be_visible(timeout=30_000)
    first = until(lambda: selected_line(canvas_picture(page)), page, seconds=60, saying="the GRUB menu")
    page.get_by_role("button", name="Type", exact=True).click()
    page.keyboard.press("ArrowDown")
    until(lambda: selected_line(canvas_picture(page)) == first + 1, page, saying="the arrow key moved the selection")
    page.close()


def _cut_and_mend(person: Person, page: Page, host: LabHost, guest: LabGuest) -> None:
    listing = person.open("/guests/")
    row = listing.locator(f"tr[data-row$='{guest.uuid}']")
    expect(row).to_contain_text("Running")
    before = _seconds_a_page(person)
    host.cut()
    during_first = _seconds_a_page(person)  # nobody knows of the cut yet
    expect(row).to_contain_text("Unknown", timeout=1000 * CUT_SECONDS)
    expect(page.locator("#host-facts")).to_contain_text("Last seen")
    during = max(during_first, _seconds_a_page(person))
    print(
        f"a page: {before * 1000:.0f} ms before the cut, {during * 1000:.0f} ms during it: {during / before:.2f} times"
    )
    host.uncut()
    expect(row).to_contain_text("Running", timeout=40_000)
    expect(page.locator("#host-facts")).not_to_contain_text("Last seen")
    assert during < 3 * before + 0.1, "a dead host slows the others' pages"


def _seconds_a_page(person: Person) -> float:
    """The median time to the last byte of the list and of the hosts' page."""
    times = []
    for path in ("/", "/hosts/") * 8:
        began = time.perf_counter()
        assert person.context.request.get(path).ok
        times.append(time.perf_counter() - began)
    return statistics.median(times)
