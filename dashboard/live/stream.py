"""Following Redis' streams of changes and figures from one event loop: reading on, replaying, noticing gaps."""

from __future__ import annotations

from typing import Any

import redis.asyncio
from django.conf import settings

from dashboard.inventory import bus
from dashboard.live.client import Position

BLOCK_MS = 5000
REPLAY = 2000
"""More missed messages than this: fetching the page anew is cheaper."""

Entry = tuple[str, str]
"""(id, JSON)"""


def position_of(entry_id: str) -> Position:
    """A stream id as something that can be compared; ValueError if it is none."""
    left, _, right = entry_id.partition("-")
    if len(entry_id) > 48:
        raise ValueError(entry_id[:48])
    return int(left), int(right or 0)


class Stream:
    """Reads both streams over a connection of its own. Every method raises BusError while Redis is away."""

    def __init__(self) -> None:
        self.last = ""
        """Id of the last change read."""
        self.gap = False
        """Whether something may have been lost before what was read last: the stream was emptied, or ran past us."""
        self._last_figures = ""
        # The reader waits for BLOCK_MS at most; a Redis that says nothing for much longer is as good as away.
        self._redis: Any = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, decode_responses=True, socket_timeout=BLOCK_MS / 1000 + 10, max_connections=50
        )

    async def begin(self) -> bool:
        """Find the place to read on from, before the first reading and after Redis was away; False if there is a gap."""
        if self.last and await self._redis.xrange(bus.LIVE, self.last, self.last):
            return True
        first = not self.last
        self.last = await self._newest(bus.LIVE) or await self._redis.xadd(bus.LIVE, {"m": '{"k":"start"}'})
        self._last_figures = await self._newest(bus.METRICS) or "0-0"
        return first

    async def read(self) -> tuple[list[Entry], list[Entry]]:
        """Wait for changes and figures; ([], []) after some seconds without any."""
        answer = await self._redis.xread(
            {bus.LIVE: self.last, bus.METRICS: self._last_figures}, block=BLOCK_MS, count=500
        )
        found = dict(answer or ())
        changes, figures = _entries(found.get(bus.LIVE)), _entries(found.get(bus.METRICS))
        self.gap = bool(changes) and not await self._redis.xrange(bus.LIVE, self.last, self.last)
        if changes:
            self.last = changes[-1][0]
        if figures:
            self._last_figures = figures[-1][0]
        return changes, figures

    async def missed(self, since: str) -> list[Entry] | None:
        """What was said after `since`; None if that is no longer known, or too much."""
        try:
            position_of(since)
        except ValueError:
            return None
        found = _entries(await self._redis.xrange(bus.LIVE, since, "+", count=REPLAY + 2))
        if not found or found[0][0] != since or len(found) > REPLAY + 1:
            return None
        return found[1:]

    async def beat_age(self) -> float:
        """Seconds since the monitor last showed that it lives, by Redis' clock."""
        return bus.beat_age(int(await self._redis.pttl(bus.HEARTBEAT)))

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose()

    async def _newest(self, stream: str) -> str:
        found = await self._redis.xrevrange(stream, count=1)
        return str(found[0][0]) if found else ""


def _entries(raw: Any) -> list[Entry]:
    return [(str(entry_id), str(fields.get("m", "{}"))) for entry_id, fields in raw or ()]
