"""Serial lines in the one asyncio process: a host that does not answer holds up nobody else's."""

from __future__ import annotations

import asyncio
import threading
from typing import cast

from dashboard.consoles.lines import Line
from dashboard.consoles.source import Source
from dashboard.virt.errors import VirtError
from dashboard.virt.streams import ConsoleStream


class SilentHost:
    """A source whose host takes packets and never answers, until the test lets go."""

    def __init__(self, over: threading.Event) -> None:
        self.over = over
        self.asked = threading.Event()

    def open(self, *, force: bool) -> ConsoleStream:
        self.asked.set()
        self.over.wait(20)
        raise VirtError("timeout", "no answer")

    def close(self) -> None:
        self.over.set()


async def test_lines_of_a_silent_host_leave_the_threads_for_admission_and_rights_free() -> None:
    over = threading.Event()
    sources = [SilentHost(over) for _ in range(40)]
    lines = [Line(cast("Source", source), lambda: None) for source in sources]
    try:
        while not all(source.asked.is_set() for source in sources):
            await asyncio.sleep(0.01)
        async with asyncio.timeout(2):
            assert await asyncio.to_thread(lambda: "a look at rights") == "a look at rights"
    finally:
        over.set()
        for line in lines:
            line.close()
