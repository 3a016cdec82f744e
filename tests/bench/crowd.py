"""Many open pages in one helper process: each lives by the page's own rules, and notes when it is told what.

python -m tests.bench.crowd URL SESSIONS_FILE
Told ["open", how many], ["heard", uuid, state, since], ["lost", since] (the web process was killed then: wait until all are back).
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.bench.measure import answer
from tests.lab.crowd import CROWD, FEW, longest_wait, peak

PATIENCE = 90.0
SIGNED_OUT = 4401
PAGE = "/guests/"


class Crowd:
    """All pages of this process."""

    def __init__(self, url: str, keys: list[str]) -> None:
        self.url, self.keys = url, keys
        self.pages: list[asyncio.Task[None]] = []
        self.open = 0
        self.tries: list[float] = []
        self.back: list[float] = []
        self.told: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.fetching = 0
        self.fetches: set[asyncio.Task[None]] = set()
        self.fetched: list[float] = []

    async def page(self, which: int) -> None:
        """One page, for ever: connect, say from where, listen; when it is lost throw dice and try again."""
        since, attempts, crowd = "", 0, FEW + 1
        headers = {"Cookie": f"kvmweb={self.keys[which % len(self.keys)]}"}
        while True:
            self.tries.append(time.time())
            try:
                async with connect(
                    f"{self.url.replace('http', 'ws', 1)}/live/", origin=self.url, additional_headers=headers,  # type: ignore[arg-type]
                    ping_interval=None, open_timeout=30, compression=None,
                ) as socket:  # fmt: skip
                    attempts = 0
                    self.back.append(time.time())
                    self.open += 1
                    try:
                        await socket.send(json.dumps({"since": since}))
                        async for text in socket:
                            at, said = time.time(), json.loads(text)
                            since, crowd = said.get("id", since), said.get("ping", crowd)
                            self.hear(which, at, said, crowd)
                    finally:
                        self.open -= 1
                if socket.close_code == SIGNED_OUT:
                    raise RuntimeError(f"page {which} was signed out")
            except (OSError, WebSocketException, TimeoutError):
                pass
            attempts += 1
            await asyncio.sleep(random.random() * longest_wait(attempts, crowd))

    def hear(self, which: int, at: float, said: dict[str, Any], crowd: int) -> None:
        """Note a guest's new state; look again, in turn, when told to."""
        message = said.get("m", {})
        if said.get("resync"):
            self.fetching += 1
            after = random.random() * CROWD / 2 if crowd > FEW else 0.0
            self.fetches.add(asyncio.create_task(self.fetch(which, after)))
        elif message.get("k") == "guest" and message.get("op") == "set":
            self.told[str(message["uuid"]), str(message["row"]["state"])][which].append(at)

    async def fetch(self, which: int, after: float) -> None:
        """The page once more, as a browser asks for it."""
        await asyncio.sleep(after)
        place = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        cookie = f"kvmweb={self.keys[which % len(self.keys)]}"
        writer.write(
            f"GET {PAGE} HTTP/1.1\r\nHost: {place.netloc}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n".encode()
        )
        began = time.time()
        status = await reader.readline()
        await reader.read()
        writer.close()
        if b" 200 " not in status:
            raise RuntimeError(f"{PAGE}: {status!r}")
        self.fetched.append(began)
        self.fetching -= 1

    async def until(self, true: Callable[[], bool], what: str) -> None:
        """Look every few milliseconds: being told of every message would take the pages' own time."""
        end = time.monotonic() + PATIENCE
        while not true():
            for task in [*self.pages, *self.fetches]:
                if task.done():
                    task.result()  # if it failed, so does this
            if time.monotonic() > end:
                raise TimeoutError(f"after {PATIENCE:.0f} s still not: {what}")
            await asyncio.sleep(0.03)

    # -- what is asked

    async def open_up_to(self, count: int) -> float:
        """Have that many pages open; how many seconds that took."""
        began = time.time()
        for which in range(len(self.pages), count):
            self.pages.append(asyncio.create_task(self.page(which)))
            await asyncio.sleep(0.005)
        await self.until(lambda: self.open == len(self.pages), "all pages are open")
        await self.until(lambda: not self.fetching, "all pages have fetched what they missed")
        return time.time() - began

    async def heard(self, uuid: str, state: str, since: float) -> list[float]:
        """When each page was told of it."""

        def times() -> list[float]:
            found = (next((at for at in ats if at >= since), 0.0) for ats in self.told[uuid, state].values())
            return [at for at in found if at]

        await self.until(lambda: len(times()) == len(self.pages), "all pages were told")
        return times()

    async def lost(self, since: float) -> dict[str, float]:
        """Until all are back after the web process was killed."""
        await self.until(lambda: self.open == 0 or bool(self.came(since)), "pages are lost")
        await self.until(lambda: self.open == len(self.pages), "all pages are back")
        settled = time.time() - since
        await self.until(lambda: not self.fetching, "all pages have fetched what they missed")
        tries = [at for at in self.tries if at > since]
        return {
            "back": settled,
            "settled": time.time() - since,
            "tries": peak(tries),
            "most": peak(self.came(since)),
            "all_tries": len(tries),
            "fetched": len([at for at in self.fetched if at > since]),
        }

    def came(self, since: float) -> list[float]:
        """When pages were back."""
        return [at for at in self.back if at > since]


async def serve(crowd: Crowd) -> None:
    """One line of words, one line of answer."""
    reader = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    words = {"open": crowd.open_up_to, "heard": crowd.heard, "lost": crowd.lost}
    answer("ready")
    while line := await reader.readline():
        what, *more = json.loads(line)
        answer(await words[what](*more))


def main() -> None:
    """Nobody is there yet."""
    url, sessions = sys.argv[1:]
    asyncio.run(serve(Crowd(url, json.loads(Path(sessions).read_text(encoding="utf-8")))))


if __name__ == "__main__":
    main()
