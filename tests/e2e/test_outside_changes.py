"""What virsh, a guest or an accident does outside appears on open pages, which are never loaded anew."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Callable, Iterator

import pytest
from lxml import etree
from playwright.sync_api import Locator, Page, expect

from tests.e2e.browser import Person, no_navigation
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost


def row_of(page: Page, guest: LabGuest) -> Locator:
    return page.locator(f"tr[data-row$='{guest.uuid}']")


def heading_of(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def test_two_open_pages_follow_what_virsh_does(
    person: Person, host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    guest = make_guest(host, "outsider")
    listing, detail = person.open("/guests/"), person.open_guest(guest)
    unmoved = [no_navigation(listing), no_navigation(detail)]
    expect(row_of(listing, guest)).to_contain_text("Off")

    for command, word in (("start", "Running"), ("suspend", "Paused"), ("resume", "Running"), ("destroy", "Off")):
        guest.virsh(command)
        expect(row_of(listing, guest).locator(".state-word")).to_have_text(word)
        expect(heading_of(detail)).to_contain_text(word)
    expect(detail.get_by_role("button", name="Start", exact=True)).to_be_enabled()

    guest.virsh("domrename", "renamed-outside")
    expect(row_of(listing, guest).get_by_role("rowheader")).to_contain_text("renamed-outside")
    expect(heading_of(detail)).to_contain_text("renamed-outside")
    host.virsh("desc", guest.uuid, "--config", "--title", "Called otherwise")
    expect(row_of(listing, guest)).to_contain_text("Called otherwise")

    person.allow(f"404.*/guests/{guest.uuid}/")  # a page may ask for a guest at the very moment at which it goes
    xml = host.lab.dir / "outsider-again.xml"
    xml.write_text(host.virsh("dumpxml", guest.uuid, "--inactive"))
    host.virsh("undefine", guest.uuid)
    expect(row_of(listing, guest)).to_have_count(0)
    expect(detail.locator("#guest-notice")).to_contain_text("This virtual machine has been deleted.")
    host.virsh("define", str(xml))
    expect(row_of(listing, guest)).to_contain_text("renamed-outside")
    assert all(same() for same in unmoved), "a page was loaded anew"


def test_an_open_menu_stays_under_the_hand_while_the_guest_changes(
    person: Person, host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    guest = make_guest(host, "hand")
    page = person.open_guest(guest)
    page.get_by_role("button", name="More").click()
    menu = page.get_by_role("menu", name="Operations")
    force_off = menu.get_by_role("menuitem", name="Force off")
    expect(force_off).to_be_disabled()

    for command, word in (("start", "Running"), ("suspend", "Paused"), ("resume", "Running")):
        with page.expect_response(page.url):  # the page fetches its parts anew, the buttons with the menu among them
            guest.virsh(command)
        expect(heading_of(page)).to_contain_text(word)
        expect(force_off).to_be_enabled()
    expect(menu).to_be_visible()
    force_off.click()
    page.get_by_role("dialog").get_by_role("button", name="Force off").click()
    expect(heading_of(page)).to_contain_text("Off")
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()


@pytest.fixture
def libvirt_comes_back(host: LabHost) -> Iterator[None]:
    """Whatever happens in the test, libvirt of the host runs afterwards."""
    yield
    if not host.answers():
        host.start_libvirtd()


@pytest.mark.usefixtures("libvirt_comes_back")
def test_pages_catch_up_with_what_happened_while_libvirt_was_down(
    person: Person, host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    dies, vanishes, stays = (make_guest(host, name) for name in ("dies", "vanishes", "stays"))
    dies.virsh("start")
    stays.virsh("start")
    listing, detail = person.open("/guests/"), person.open_guest(dies)
    unmoved = [no_navigation(listing), no_navigation(detail)]
    expect(row_of(listing, stays)).to_contain_text("Running")
    expect(heading_of(detail)).to_contain_text("Running")

    host.kill_libvirtd()
    expect(row_of(listing, stays)).to_contain_text("Unknown")
    expect(detail.locator("#guest-notice")).to_contain_text("does not answer")
    host.exec("sh", "-c", f"kill -9 $(cat /run/libvirt/qemu/{dies.name}.pid)")
    appears = _change_definitions(host, vanishes)
    host.start_libvirtd()

    expect(row_of(listing, stays)).to_contain_text("Running", timeout=20_000)
    expect(row_of(listing, dies)).to_contain_text("Off")
    expect(row_of(listing, vanishes)).to_have_count(0)
    expect(row_of(listing, appears)).to_contain_text(appears.name)
    expect(heading_of(detail)).to_contain_text("Off")
    expect(detail.locator("#guest-notice")).not_to_contain_text("does not answer")
    assert all(same() for same in unmoved), "a page was loaded anew"
    appears.remove()


def _change_definitions(host: LabHost, guest: LabGuest) -> LabGuest:
    """What a person with an editor can do while libvirt is down: one definition goes, another comes."""
    path = host.dir / "libvirt" / "qemu" / f"{guest.name}.xml"
    root = etree.parse(path).getroot()
    path.unlink()
    appears = LabGuest(host, "appears", str(uuids.uuid4()))
    for tag, text in (("name", appears.name), ("uuid", appears.uuid)):
        element = root.find(tag)
        assert element is not None
        element.text = text
    path.with_name(f"{appears.name}.xml").write_bytes(etree.tostring(root))
    return appears
