"""Every page and dialog, light and dark, in both languages, wide and narrow, by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.browser import PASSWORD, Person
from tests.e2e.furnished import NAMES, furnish
from tests.e2e.looks import NARROW, against_wcag, too_wide, unfilled, untranslated
from tests.e2e.stack import Stack
from tests.lab.guests import LabGuest, define
from tests.lab.hosts import LabHost

LOOKS = {
    "light, English, wide": {"locale": "en-GB", "color_scheme": "light"},
    "dark, Chinese, narrow": {"locale": "zh-CN", "color_scheme": "dark", "viewport": NARROW},
}
NO_PAGES = {
    # What scripts ask for, parts of pages, and addresses that only take a POST.
    "jsi18n", "setup", "person-end-sessions", "operate", "recent", "cancel", "retry", "approve-key", "remove", "ticket",
    "tags", "check", "choices", "menu", "dialog", "history", "many", "many_question", "many_operate", "overview",
    "end-session", "end-other-sessions", "seen", "token-revoke", "set-password", "person-end-session", "person-revoke-token",
    "person-reset-factor", "person-password-link", "people-role-second-factor",
    "people-places", "person-grant", "people-grant-remove", "person-join", "people-group-grant", "people-group-join",
    "people-group-leave", "people-group-remove", "people-role-remove", "export", "healthz", "owner",
    "metrics", "words", "taste", "find", "search", "search_edit", "search_delete", "shots", "shot",
}  # fmt: skip
STRANGERS = ("/accounts/login/", "/accounts/password/reset/", "/accounts/signup/", "/accounts/inactive/")


@dataclass(frozen=True)
class Scene:
    """Objects that fill the pages."""

    running: LabGuest
    off: LabGuest
    pages: dict[str, str]
    """Name of the address → the address, for everything that is a page."""
    names: frozenset[str]
    """Words that are not ours to translate."""


@pytest.fixture(scope="module")
def scene(
    chromium: Browser, stack: Stack, administrator: Any, host: LabHost, tiny: LabGuest, idle_image: Path
) -> Iterator[Scene]:
    """A host with a pool, a running guest, one that is off, jobs and people."""
    if "default" not in host.virsh("pool-list", "--all", "--name").split():
        host.virsh("pool-define-as", "default", "dir", "--target", "/var/lib/libvirt/images")
        host.virsh("pool-start", "default")
    off = define(host, "off", image=idle_image, network="default")
    person = Person(chromium, stack.url, administrator)
    page = person.open_guest(off)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Running")
    off.virsh("destroy")
    person.open("/storage/", page)
    pool = page.get_by_role("link", name="default").first.get_attribute("href") or ""
    person.open("/jobs/", page)
    job = page.locator("tbody a[href^='/jobs/']").first.get_attribute("href") or ""
    made = furnish(person, page, host, [tiny, off])
    assert not person.unexpected
    person.close()
    yield _scene(tiny, off, host, made | {"pool": pool, "job": job})
    off.remove()


def _scene(tiny: LabGuest, off: LabGuest, host: LabHost, made: dict[str, str]) -> Scene:
    guest = f"/guests/{tiny.uuid}/"
    pages = made | {
        "page": "/", "list": "/guests/", "screens": "/guests/?view=screens", "wrong search": "/guests/?q=mem:lots",
        "searches": "/guests/searches/", "search_add": "/guests/searches/new/?q=state:running", "create": "/guests/new/", "detail": guest, "performance": f"{guest}performance/",
        "console": f"{guest}console/", "guest serial": f"{guest}serial/", "xml": f"{guest}xml/",
        "guest jobs": f"{guest}jobs/", "notes": f"{guest}notes/",
        "screen": f"/consoles/{tiny.uuid}/screen/", "serial": f"/consoles/{tiny.uuid}/serial/",
        "hosts": "/hosts/", "host": "/hosts/1/", "add": "/hosts/new/", "storage": "/storage/",
        "networks": "/networks/", "jobs": "/jobs/", "people": "/people/", "person": "/people/1/",
        "person-add": "/people/new/", "audit": "/audit/", "preferences": "/preferences/",
        "off": f"/guests/{off.uuid}/console/", "nothing found": "/guests/?q=there-is-no-such-guest", "404": "/nowhere/",
        "api-docs": "/api/v1/docs", "security": "/security/", "tokens": "/security/tokens/", "person-security": "/people/1/security/",
        "app": "/accounts/2fa/totp/activate/", "passkey": "/accounts/2fa/webauthn/add/",
        "account_change_password": "/accounts/password/change/", "account_logout": "/accounts/logout/",
    }  # fmt: skip
    names = NAMES | {tiny.name, off.name, host.name, "default", "ada", "kvmweb", "English", "network"}
    return Scene(tiny, off, pages, names)


def own_addresses(resolver: Any = None, prefix: str = "") -> Iterator[tuple[str, str]]:
    for item in (resolver or get_resolver()).url_patterns:
        route = prefix + str(item.pattern)
        if isinstance(item, URLResolver):
            if not route.startswith(("accounts/", "api/")):
                yield from own_addresses(item, route)
        elif isinstance(item, URLPattern):
            yield str(item.name), "/" + re.sub(r"<[^>]+>", "[^/]+", route)


def test_no_page_is_left_out_here(scene: Scene) -> None:
    visited = [path.partition("?")[0] for path in scene.pages.values()]
    for name, pattern in own_addresses():
        shown = any(re.fullmatch(pattern, path) for path in visited)
        assert shown or name in NO_PAGES, f"{pattern} ({name}) is a page that nobody looks at: add it to `scene`"


def faults_of(someone: Person, page: Page, where: str, scene: Scene, *, chinese: bool) -> list[str]:
    with someone.excused("style-src"):  # axe brings a style of its own, which is refused and which it can do without
        found = against_wcag(page)
        found += too_wide(page) + unfilled(page)
    found += untranslated(page, set(scene.names)) if chinese else []
    return [f"{where}: {fault}" for fault in found]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_fits_and_is_translated(
    people: Callable[..., Person], scene: Scene, look: str
) -> None:
    someone = people(reduced_motion="reduce", **LOOKS[look])
    someone.allow("404", "403")
    chinese = "Chinese" in look
    page, faults = someone.context.new_page(), []
    for where, path in scene.pages.items():
        someone.open(path, page)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        if where in ("console", "screen"):
            expect(page.locator("[data-target] canvas")).to_be_visible()
        faults += faults_of(someone, page, f"{look}: {where}", scene, chinese=chinese)
    stranger = people(None, reduced_motion="reduce", **LOOKS[look])
    stranger.allow("404", "403", "429")
    for path in STRANGERS:
        faults += faults_of(stranger, stranger.open(path), f"{look}: {path}", scene, chinese=chinese)
    assert not faults, "\n".join(faults)


def menus_and_dialogs(someone: Person, page: Page, scene: Scene) -> Iterator[str]:
    """Open everything that opens, one after another; the name of what is open now."""
    narrow = page.viewport_size == NARROW
    someone.open(f"/guests/{scene.running.uuid}/console/", page)
    expect(page.locator("[data-target] canvas")).to_be_visible()
    page.locator(".console-bar [data-menu]").first.click()
    yield "keys to send"
    page.keyboard.press("Escape")
    page.locator("[data-do=paste]").click()
    page.locator("#paste-area").fill("text ü")
    yield "paste text"
    page.keyboard.press("Escape")
    page.locator("#guest-actions [data-guest-menu]").click()
    expect(page.locator("#guest-actions [role=menuitem]").first).to_be_visible()
    yield "menu of the guest"
    page.keyboard.press("Escape")
    yield from _dialogs(page, "guest.force_off", "guest.title", "guest.description", "guest.tags")
    page.locator("#drawer-button").click()
    expect(page.locator("#job-drawer")).to_be_visible()
    page.locator("#job-drawer details.job-more summary").first.click()
    yield "drawer"
    page.keyboard.press("Escape")
    if narrow:
        page.locator("#menu-button").click()
        yield "navigation"
    for menu in ("language-menu", "user-menu"):
        page.locator(f"[data-menu={menu}]").click()
        yield menu
        page.keyboard.press("Escape")
    someone.open(f"/guests/{scene.off.uuid}/", page)
    yield from _dialogs(page, "guest.rename", "guest.delete")
    someone.open("/hosts/1/", page)
    page.locator("[data-dialog=remove-host]").click()
    yield "remove host"
    yield from _of_the_list(someone, page, scene)


def _of_the_list(someone: Person, page: Page, scene: Scene) -> Iterator[str]:
    someone.open("/guests/", page)
    page.locator("[data-dialog=columns]").click()
    yield "columns"
    page.keyboard.press("Escape")
    page.locator("main input[type=search]").fill("tag:green st")
    expect(page.locator("[role=listbox] [role=option]").first).to_be_visible()
    yield "completion"
    page.locator("main input[type=search]").fill("")
    page.keyboard.press("Control+k")
    page.keyboard.type("off")
    expect(page.locator("#find-list [role=option]").first).to_be_visible()
    yield "find anything"
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("?")
    yield "keyboard"
    page.keyboard.press("Escape")
    yield from _of_many(page, scene)


def _of_many(page: Page, scene: Scene) -> Iterator[str]:
    for guest in (scene.running, scene.off):
        page.locator(f"[data-row$='{guest.uuid}'] [data-select]").check()
    expect(page.locator("[data-many='guest.start']")).to_be_visible()
    yield "bar of many"
    for name in ("guest.start", "guest.force_off", "guest.retag", "guest.delete"):
        button = page.locator(f".g-many [data-many='{name}']")
        if not button.is_visible():
            page.locator("#many-more").click()
            yield f"menu before {name}"
        button.click()
        expect(page.locator("dialog[open]")).to_be_visible()
        yield f"many: {name}"
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)
    page.locator("[data-many-clear]").click()


def _dialogs(page: Page, *names: str) -> Iterator[str]:
    for name in names:
        page.locator("#guest-actions [data-guest-menu]").click()
        page.locator(f"#guest-actions [data-name='{name}']").click()
        expect(page.locator("dialog[open]")).to_be_visible()
        yield name
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("look", LOOKS)
def test_every_menu_and_dialog_is_accessible_fits_and_is_translated(
    people: Callable[..., Person], scene: Scene, look: str
) -> None:
    someone = people(reduced_motion="reduce", **LOOKS[look])
    page, faults = someone.context.new_page(), []
    for where in menus_and_dialogs(someone, page, scene):
        faults += faults_of(someone, page, f"{look}: {where}", scene, chinese="Chinese" in look)
    assert not faults, "\n".join(faults)


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press Tab until something has the focus, as everything on the way visibly has in turn."""
    for _ in range(80):
        page.keyboard.press(key)
        if target.evaluate("(element) => element === document.activeElement"):
            return
        assert page.evaluate(
            "document.activeElement === document.body || document.activeElement.matches(':focus-visible')"
        )
    raise AssertionError(f"{target} was not reached with {key}")


def test_by_keyboard_alone_one_signs_in_starts_a_guest_and_looks_at_its_job(
    people: Callable[..., Person], host: LabHost, make_guest: Callable[..., LabGuest], person: Person
) -> None:
    guest = make_guest(host, "by-keyboard")
    person.open_guest(guest).close()
    page = people(None).open("/guests/")
    expect(page.get_by_label("User name")).to_be_focused()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")

    link = page.get_by_role("link", name=guest.name)
    expect(link).to_be_visible()
    tab_to(page, page.get_by_role("link", name="Skip to content"))
    page.keyboard.press("Enter")
    tab_to(page, link)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Off")
    tab_to(page, page.get_by_role("button", name="Start", exact=True))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Running")

    drawer = page.locator("#job-drawer")
    expect(drawer).to_contain_text("Done")
    expect(drawer).to_be_hidden(timeout=15_000)  # it came by itself and goes by itself
    button = page.get_by_role("button", name="Activity")
    tab_to(page, button, "Shift+Tab")
    page.keyboard.press("Enter")
    expect(drawer).to_be_visible()
    expect(drawer).to_be_focused()
    tab_to(page, drawer.locator(".job-more > summary").first)
    page.keyboard.press("Enter")
    expect(drawer.get_by_text(f"virsh start {guest.name}")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(button).to_be_focused()
