"""Which objects of a host must be read again and when: events on one object are gathered, the latest wins, storms slow down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dashboard.inventory.store import Seen

Kind = Literal["guest", "pool", "network"]

GAP = 0.025
"""Seconds in which events on one object are gathered into one reading."""
STORM_GAP = 0.5
"""The gap of an object that has used up its burst: a guest in a tight pause-and-go loop costs others nothing."""
BURST = 20.0
"""Readings of one object that may follow each other without it."""
REFILL = 4.0
"""Readings a second by which the burst grows again."""


@dataclass
class _Look:
    due: float
    seen: Seen


@dataclass
class _Past:
    at: float
    left: float
    """Of its burst."""

    @property
    def next(self) -> float:
        """When it may be read again."""
        return self.at + (GAP if self.left >= 1 else STORM_GAP)


class Agenda:
    """Times are those of one monotonic clock, given by the caller."""

    def __init__(self) -> None:
        self._looks: dict[tuple[Kind, str], _Look] = {}
        self._past: dict[tuple[Kind, str], _Past] = {}

    def add(self, kind: Kind, uuid: str, now: float, *, delay: float = 0.0, seen: Seen | None = None) -> None:
        """Have an object read `delay` seconds from now, later if it was read a moment ago, earlier if it is due anyway."""
        key = (kind, uuid)
        past = self._past.get(key)
        due = now + delay if past is None else max(now + delay, past.next)
        look = self._looks.get(key)
        if look is None:
            self._looks[key] = _Look(due, seen or Seen())
        else:
            look.due = min(look.due, due)
            look.seen = merge(look.seen, seen or Seen())

    def next_due(self) -> float | None:
        """When the next object is due."""
        return min((look.due for look in self._looks.values()), default=None)

    def take(self, now: float) -> list[tuple[Kind, str, Seen]]:
        """The objects that are due, taken off the agenda, the longest waiting first."""
        due = sorted((look.due, key) for key, look in self._looks.items() if look.due <= now)
        taken = [(kind, uuid, self._looks.pop((kind, uuid)).seen) for _, (kind, uuid) in due]
        for kind, uuid, _ in taken:
            past = self._past.get((kind, uuid))
            left = min(BURST, past.left + (now - past.at) * REFILL) if past is not None else BURST
            self._past[kind, uuid] = _Past(now, max(0.0, left - 1))
        if len(self._past) > 1000:
            self._past = {key: past for key, past in self._past.items() if now - past.at < BURST / REFILL}
        return taken


def merge(older: Seen, newer: Seen) -> Seen:
    """What two events tell together."""
    if newer.resumed:
        return replace(newer, started_at=newer.started_at or older.started_at)
    return Seen(
        started_at=newer.started_at or older.started_at,
        io_error=newer.io_error or older.io_error,
        resumed=older.resumed,
    )
