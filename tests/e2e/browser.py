"""People in browsers: pages that tell what went wrong in them, pictures of canvases, and waiting for values."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request, Response, WebError

from tests.lab.guests import LabGuest
from tests.lab.hosts import wait_for

CHROMIUM = "/usr/bin/chromium"
PASSWORD = "four quiet words here"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NETWORK_CHANGED = "ERR_NETWORK_CHANGED"
"""Chromium drops its connections when an interface of the machine comes or goes, as those of labs do."""

ALWAYS_ALLOWED = (
    NETWORK_CHANGED,
    r"^request .* net::ERR_ABORTED",  # a page that is left does not wait for its answers
    r"^console: Failed when connecting: Connection closed \(code: 44\d\d",  # noVNC repeats what the page says in words
)
VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile ?? ""}:${event.lineNumber}`));
"""


class Person:
    """One person's browser: their pages share a session; what goes wrong in them is kept in `problems`."""

    def __init__(self, browser: Browser, base_url: str, state: Any = None, **options: Any) -> None:
        options = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"} | options
        self.context: BrowserContext = browser.new_context(base_url=base_url, storage_state=state, **options)
        self.context.set_default_timeout(15_000)
        self.context.add_init_script(VIOLATIONS)
        self.problems: list[str] = []
        self.allowed: list[str] = list(ALWAYS_ALLOWED)
        self.context.on("console", self._console)
        self.context.on("weberror", self._error)
        self.context.on("requestfailed", self._failed)
        self.context.on("response", self._answered)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _error(self, error: WebError) -> None:
        self.problems.append(f"uncaught: {error.error}")

    def _failed(self, request: Request) -> None:
        self.problems.append(f"request {request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"answer {response.status}: {response.request.method} {response.url}")

    def allow(self, *patterns: str) -> None:
        """These problems (regular expressions) belong to the test."""
        self.allowed += patterns

    @contextmanager
    def excused(self, pattern: str) -> Iterator[None]:
        """What a tool of the test itself does in a page while this lasts is nobody's fault."""
        known = len(self.problems)
        yield
        self.problems[known:] = [text for text in self.problems[known:] if not re.search(pattern, text)]

    @property
    def unexpected(self) -> list[str]:
        """Problems that nothing allows."""
        return [text for text in self.problems if not any(re.search(pattern, text) for pattern in self.allowed)]

    def open(self, path: str, page: Page | None = None) -> Page:
        """A page at an address, in a new tab unless one is given; tried once more when the machine's network changed."""
        page = page or self.context.new_page()
        known = len(self.problems)
        try:
            page.goto(path)
        except Error as error:
            if NETWORK_CHANGED not in error.message:
                raise
            page.goto(path)
        if any(NETWORK_CHANGED in text for text in self.problems[known:]):
            page.reload()
        confirm(page)
        return page

    def open_guest(self, guest: LabGuest, tab: str = "") -> Page:
        """A guest's page in a new tab, as soon as kvmweb has seen the guest."""
        path = f"/guests/{guest.uuid}/{tab}"
        wait_for(lambda: self.context.request.get(path).ok, saying=f"kvmweb knows {guest.name}")
        return self.open(path)

    def close(self) -> None:
        self.context.close()


def confirm(page: Page) -> None:
    """Type the password again where a page asks for it, because the person signed in more than ten minutes ago."""
    if "/accounts/reauthenticate/" in page.url:
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Continue").click()


def no_navigation(page: Page) -> Callable[[], bool]:
    """Mark a page's document; the answer says whether it is still the same one."""
    page.evaluate("window.kvmwebSameDocument = true")
    return lambda: bool(page.evaluate("window.kvmwebSameDocument === true"))


def until(what: Callable[[], Any], page: Page, *, seconds: float = 15, saying: str = "") -> Any:
    """Ask until the answer is true, letting the browser's events through meanwhile; that answer."""
    end = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < end, f"not so after {seconds:g} s: {saying or what}"
        page.wait_for_timeout(100)
    return answer


def canvas_picture(page: Page) -> Image.Image:
    """What noVNC has drawn, as the guest's screen has it."""
    url = page.evaluate("document.querySelector('[data-target] canvas').toDataURL('image/png')")
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")


def file_picture(path: Path) -> Image.Image:
    """A picture that virsh took."""
    return Image.open(path).convert("RGB")


def likeness(one: Image.Image, other: Image.Image) -> float:
    """How much two pictures are alike, 0 to 1: the share of pixels that differ by less than a tenth, at one size."""
    size = (min(one.width, other.width), min(one.height, other.height))
    first, second = (numpy.asarray(picture.resize(size), dtype=float) for picture in (one, other))
    return float((numpy.abs(first - second).max(axis=2) < 26).mean())


def selected_line(picture: Image.Image) -> int:
    """The line of a GRUB menu (25 lines of text a screen) on which the light bar is; 0 where there is no menu."""
    if picture.height != 400:
        return 0
    light = numpy.asarray(picture.convert("L"), dtype=float).reshape(25, 16, picture.width).mean(axis=(1, 2))
    bars = [line for line, brightness in enumerate(light) if brightness > 100]
    return bars[0] if len(bars) == 1 else 0
