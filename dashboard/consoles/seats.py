"""How many consoles are open, per person, per guest and in all, counted in Redis over all console processes."""

from __future__ import annotations

import secrets
import time

from dashboard.consoles.refusals import BUSY, Refused
from dashboard.inventory import bus

MOST_PER_PERSON = 16
MOST_PER_GUEST = 8
MOST = 400
STALE_SECONDS = 10.0
"""A seat that was not renewed for this long belonged to a process that died."""


class Seat:
    """One open console in the count. Take it before opening, renew it every few seconds, leave it at the end."""

    def __init__(self, *, user: int, host: int, uuid: str) -> None:
        self._name = secrets.token_hex(8)
        self._limits = {
            f"kvmweb:seats:user:{user}": MOST_PER_PERSON,
            f"kvmweb:seats:guest:{host}:{uuid}": MOST_PER_GUEST,
            "kvmweb:seats": MOST,
        }

    def take(self) -> None:
        """Sit down, or Refused when too many are open."""
        now = time.time()
        with bus.client().pipeline() as pipe:
            for key in self._limits:
                pipe.zremrangebyscore(key, 0, now - STALE_SECONDS)
                pipe.zadd(key, {self._name: now})
                pipe.expire(key, 3600)
                pipe.zcard(key)
            counts = pipe.execute()[3::4]
        if any(count > most for count, most in zip(counts, self._limits.values(), strict=True)):
            self.leave()
            raise Refused(BUSY)

    def renew(self) -> None:
        """Still here. A Redis that does not answer costs nobody their console."""
        try:
            with bus.client().pipeline() as pipe:
                for key in self._limits:
                    pipe.zadd(key, {self._name: time.time()})
                    pipe.expire(key, 3600)
                pipe.execute()
        except bus.BusError:
            return

    def leave(self) -> None:
        """Stand up."""
        try:
            with bus.client().pipeline() as pipe:
                for key in self._limits:
                    pipe.zrem(key, self._name)
                pipe.execute()
        except bus.BusError:
            return


def open_consoles() -> int:
    """How many consoles are open in all. Raises BusError."""
    return int(bus.client().zcount("kvmweb:seats", time.time() - STALE_SECONDS, "+inf"))
