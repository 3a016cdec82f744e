"""The stack, the browser and the people of the end-to-end tests; shared by the whole run, so that it stays short."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.browser import ARGUMENTS, CHROMIUM, PASSWORD, Person
from tests.e2e.stack import ROOT, Stack
from tests.lab.guests import LabGuest, TinyImages, define
from tests.lab.hosts import Lab, LabHost

PICTURES = ROOT / "var" / "e2e-failures"
_present = pytest.StashKey[list[Person]]()

expect.set_options(timeout=10_000)  # the machine may be busy; what holds is seen at once all the same


@pytest.fixture(scope="session")
def host(lab: Lab) -> LabHost:
    """The host whose libvirt is the stack's own. All hosts are started before the browser: interfaces disturb it."""
    return lab.up(2)[0]


@pytest.fixture(scope="session")
def far_host(lab: Lab, host: LabHost) -> LabHost:
    """Another host, which kvmweb may reach over the network only."""
    return lab.up(2)[1]


@pytest.fixture(scope="session")
def stack(host: LabHost) -> Iterator[Stack]:
    """All processes of kvmweb, started as people start them."""
    stack = Stack(host.socket, "localhost")  # a name, not an address: browsers allow passkeys there
    try:
        stack.start()
        yield stack
    finally:
        if PICTURES.exists():
            shutil.copy(stack.output, PICTURES / "stack.log")
        stack.stop()


@pytest.fixture(scope="session")
def chromium(stack: Stack) -> Iterator[Browser]:
    """The distribution's Chromium."""
    if not Path(CHROMIUM).exists():
        raise FileNotFoundError(f"{CHROMIUM} is missing (Debian: chromium)")
    playwright = sync_playwright().start()
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    try:
        yield browser
    finally:
        browser.close()
        playwright.stop()


@pytest.fixture(scope="session")
def administrator(chromium: Browser, stack: Stack) -> Any:
    """The session of the first administrator, who came by the printed link and is called ada."""
    person = Person(chromium, stack.url)
    page = person.open(stack.setup_link)
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Make administrator and sign in").click()
    expect(page.get_by_role("heading", name="Virtual machines", level=1)).to_be_visible()
    state = person.context.storage_state()
    assert not person.unexpected
    person.close()
    return state


@pytest.fixture(scope="session")
def add_person(chromium: Browser, stack: Stack, administrator: Any) -> Callable[[str, str], Any]:
    """`add_person(name, role)`: the administrator adds somebody on the page for it; the session of the one who signed in."""

    def add(name: str, role: str) -> Any:
        admin, newcomer = Person(chromium, stack.url, administrator), Person(chromium, stack.url)
        page = admin.open("/people/new/")
        page.get_by_label("User name").fill(name)
        page.get_by_label("Role").select_option(role)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password again").fill(PASSWORD)
        page.get_by_role("button", name="Add person").click()
        expect(page.get_by_role("link", name=name)).to_be_visible()
        state = sign_in(newcomer, name)
        assert not admin.unexpected + newcomer.unexpected
        admin.close()
        newcomer.close()
        return state

    return add


def sign_in(person: Person, name: str) -> Any:
    """Sign somebody in by the form; their session."""
    page = person.open("/guests/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Virtual machines", level=1)).to_be_visible()
    return person.context.storage_state()


@pytest.fixture(scope="session")
def operator(add_person: Callable[[str, str], Any]) -> Any:
    """The session of olga, an operator."""
    return add_person("olga", "operator")


@pytest.fixture(scope="session")
def viewer(add_person: Callable[[str, str], Any]) -> Any:
    """The session of vera, a viewer."""
    return add_person("vera", "viewer")


@pytest.fixture(scope="session")
def tiny(host: LabHost, tiny_images: TinyImages) -> Iterator[LabGuest]:
    """The tiny Linux on the stack's own host, with a shell on its serial line and one on its screen. Leave it running."""
    guest = define(host, "tiny", tiny=tiny_images, network="default", start=True)
    try:
        guest.wait_for_line("TINY READY")
        yield guest
    finally:
        guest.remove()


@pytest.fixture
def people(
    request: pytest.FixtureRequest, chromium: Browser, stack: Stack, administrator: Any
) -> Iterator[Callable[..., Person]]:
    """`people(session=…, **options of the context)`: somebody's browser, the administrator's unless another's session is given.

    What goes wrong in any of its pages fails the test; a test that fails leaves pictures of all pages.
    """
    present = request.node.stash[_present] = []

    def enter(session: Any = administrator, **options: Any) -> Person:
        present.append(Person(chromium, stack.url, session, **options))
        return present[-1]

    yield enter
    problems = [text for person in present for text in person.unexpected]
    if problems:
        _keep_pictures(request.node.name, present)
    for person in present:
        person.close()
    assert not problems, "went wrong in the browser:\n" + "\n".join(problems)


@pytest.fixture
def person(people: Callable[..., Person]) -> Person:
    """The administrator's browser."""
    return people()


@pytest.fixture
def page(person: Person) -> Page:
    """An empty tab of the administrator's browser."""
    return person.context.new_page()


def _keep_pictures(name: str, present: list[Person]) -> None:
    if not present:
        return
    PICTURES.mkdir(parents=True, exist_ok=True)
    pages = [page for person in present for page in person.context.pages]
    for number, page in enumerate(pages, 1):
        path = PICTURES / f"{name}-{number}.png"
        page.screenshot(path=path)
        print(f"picture of {page.url}: {path}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A test that failed leaves pictures, taken before its guests are removed."""
    report = yield
    if report.when == "call" and report.failed:
        _keep_pictures(item.name, item.stash.get(_present, []))
    return report
