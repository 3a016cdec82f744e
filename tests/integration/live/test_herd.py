"""Five hundred pages come back to a web process that was killed, and not in one moment: the page's own rules, real sockets."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import time
from collections import Counter
from typing import Any

import psutil
import pytest
from django.conf import settings
from websockets.asyncio.client import unix_connect
from websockets.exceptions import WebSocketException

from dashboard.inventory.publish import publish
from tests.integration.inventory.mirror import ORIGIN, Mirror
from tests.lab.crowd import CROWD, FEW, RULES, longest_wait, peak

PAGES = 500
PER_PERSON = 50


class Herd:
    """Pages that live by the rules of live.js."""

    def __init__(self, mirror: Mirror, keys: list[str]) -> None:
        self.mirror, self.keys = mirror, keys
        self.tries: list[float] = []
        self.back: list[float] = []
        self.heard: Counter[int] = Counter()
        self.open = 0

    async def page(self, which: int) -> None:
        """One page, for ever: connect, say from where, listen; when it is lost wait and try again."""
        since, attempts, crowd = self.mirror_since, 0, FEW + 1
        while True:
            self.tries.append(time.monotonic())
            try:
                headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={self.keys[which % len(self.keys)]}"}
                address = f"{ORIGIN.replace('http', 'ws')}/live/"
                path = str(self.mirror.folder / "web.sock")
                async with unix_connect(
                    path, address, origin=ORIGIN, additional_headers=headers, ping_interval=None, open_timeout=30
                ) as socket:
                    attempts = 0
                    self.back.append(time.monotonic())
                    self.open += 1
                    try:
                        await socket.send(json.dumps({"since": since}))
                        async for text in socket:
                            said = json.loads(text)
                            since, crowd = said.get("id", since), said.get("ping", crowd)
                            self.heard[which] += "m" in said
                    finally:
                        self.open -= 1
            except (OSError, WebSocketException, TimeoutError):
                pass
            attempts += 1
            await asyncio.sleep(random.random() * longest_wait(attempts, crowd))

    async def until(self, true: Any, seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"after {seconds} s still not: {what}\n{self.mirror.logs()[-3000:]}"
            await asyncio.sleep(0.1)

    @property
    def mirror_since(self) -> str:
        return self.since

    since = ""


async def scene(mirror: Mirror, herd: Herd) -> None:
    pages = [asyncio.create_task(herd.page(which)) for which in range(PAGES)]
    try:
        await herd.until(lambda: herd.open == PAGES, 60, "all pages are open")
        await asyncio.sleep(21)  # every page has heard how many there are
        herd.tries.clear()
        herd.back.clear()
        killed = time.monotonic()
        mirror.end("web", signal.SIGKILL)
        (mirror.folder / "web.sock").unlink()
        publish({"k": "guest", "host": 1, "uuid": "u", "op": "set", "row": {"name": "said meanwhile"}})
        await asyncio.sleep(0.5)  # as deploy/respawn waits
        await asyncio.to_thread(mirror.web)
        await herd.until(lambda: herd.open == PAGES, 60 - (time.monotonic() - killed), "all pages are back within 60 s")
        settled = time.monotonic() - killed
        await herd.until(lambda: len(herd.heard) == PAGES, 10, "each was told what was said meanwhile")
        web = psutil.Process(mirror.processes["web"].pid)
        load = await asyncio.to_thread(web.cpu_percent, 3.0)
        said = f"{PAGES} pages: at most {peak(herd.tries)} tries and {peak(herd.back)} connections in a second"
        print(f"{said}, all back after {settled:.1f} s, then {load:.0f} % CPU")
        # What pages do; on a busy machine the web process may let wait those who came, and answer many at once.
        assert peak(herd.tries) <= PAGES / 5
        assert settled < 60
        assert load < 50
    finally:
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)


@pytest.mark.timeout(180)
def test_five_hundred_pages_come_back_spread_over_time(mirror: Mirror) -> None:
    keys = [mirror.session(mirror.person(f"person{number}")) for number in range(PAGES // PER_PERSON)]
    mirror.web()
    herd = Herd(mirror, keys)
    herd.since = mirror.last_id()
    asyncio.run(scene(mirror, herd))


def test_a_few_pages_do_not_wait_for_a_crowd_that_is_not_there(mirror: Mirror) -> None:
    mirror.web()
    page = mirror.open()
    told = page.hears(lambda one: one.get("ping"))
    assert told["ping"] == 1
    mirror.open()
    assert mirror.open().hears(lambda one: one.get("ping"))["ping"] == 3
    assert longest_wait(1, 3) == 2
    assert longest_wait(1, 300) == CROWD


def test_this_tests_rule_is_the_pages() -> None:
    body = re.search(r"export function longestWait\(tries, pages\) \{\n  return (.*);\n\}", RULES)
    assert body
    assert body[1] == "Math.min(MAX_WAIT_S, pages > FEW ? CROWD_WAIT_S * 2 ** (tries - 1) : 2 ** tries)"
    assert "patience = (tries) => Math.random() * longestWait(tries, crowd) * 1000;" in RULES
    assert "setTimeout(connect, patience(attempts))" in RULES
