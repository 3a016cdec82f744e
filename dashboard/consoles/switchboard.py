"""All serial lines of this process: which are open, who watches them, and who must leave."""

from __future__ import annotations

import asyncio
import logging
import time

from django.db import DatabaseError, connections

from dashboard.consoles import rights
from dashboard.consoles.lines import Line, Watcher
from dashboard.consoles.refusals import RESTART, TIME, Why
from dashboard.consoles.rights import Grant
from dashboard.consoles.seats import Seat
from dashboard.consoles.source import Source
from dashboard.consoles.watch import BLIND_SECONDS

log = logging.getLogger(__name__)

Key = tuple[int, str]


class Switchboard:
    """The lines, and the eye on everybody at them. Made and used on the event loop."""

    def __init__(self) -> None:
        self._lines: dict[Key, Line] = {}
        self._seated: dict[Watcher, tuple[Grant, Seat, float]] = {}
        self._seen = time.monotonic()
        self._task = asyncio.create_task(self._look_for_ever())

    def join(self, watcher: Watcher, grant: Grant, seat: Seat) -> Line:
        """Put a watcher at the guest's line, opening it for the first."""
        key = (grant.host, grant.uuid)
        line = self._lines.get(key)
        if line is None:
            line = Line(Source(grant.host, grant.uuid), lambda: self._drop(key))
            self._lines[key] = line
        self._seated[watcher] = (grant, seat, time.monotonic())
        line.join(watcher)
        return line

    def leave(self, watcher: Watcher, line: Line) -> None:
        """A watcher has gone."""
        self._seated.pop(watcher, None)
        line.leave(watcher)

    def _drop(self, key: Key) -> None:
        self._lines.pop(key, None)

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(rights.SECONDS_BETWEEN_LOOKS)
            await self._look()

    async def _look(self) -> None:
        """One batched look at everybody's rights, off the loop; also keeps their seats."""
        seated = dict(self._seated)
        ended = await asyncio.to_thread(self._ask, {grant for grant, _, _ in seated.values()})
        now = time.monotonic()
        for watcher, (grant, _, since) in seated.items():
            why = TIME if now - since > rights.LONGEST_SECONDS else ended.get(grant)
            if why is not None:
                watcher.end(why)
        await asyncio.to_thread(_renew, [seat for _, seat, _ in seated.values()])

    def _ask(self, grants: set[Grant]) -> dict[Grant, Why]:
        try:
            ended = rights.ended(grants) if grants else {}
        except DatabaseError:
            blind = time.monotonic() - self._seen > BLIND_SECONDS
            return dict.fromkeys(grants, RESTART) if blind else {}
        finally:
            connections.close_all()
        self._seen = time.monotonic()
        return ended

    async def close(self) -> None:
        """The process ends."""
        self._task.cancel()
        for line in list(self._lines.values()):
            line.close()


def _renew(seats: list[Seat]) -> None:
    for seat in seats:
        seat.renew()
