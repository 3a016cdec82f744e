"""Whether the clocks of our processes, of the database and of hosts agree: each is compared with that of Redis."""

from __future__ import annotations

import json
import logging
import socket
import time
from dataclasses import dataclass

from django.db import DatabaseError, connection

from dashboard.inventory import bus
from dashboard.inventory.models import Host

log = logging.getLogger(__name__)

KEY = "kvmweb:clocks"
LIMIT = 5.0
"""Seconds of difference that nobody needs to hear of."""
KEEP_PROCESS = 60.0
"""Seconds after which a process that has said nothing more is gone."""
KEEP_HOST = 30 * 86_400.0
"""A host's clock is seen when a volume is made there, which may be rare."""


@dataclass(frozen=True)
class Skew:
    """One clock that is off: `name` of a process ("worker") or, with `host`, of a host; positive: ahead."""

    name: str
    seconds: float
    host: bool = False


def _reference() -> float:
    seconds, micros = bus.client().time()
    return int(seconds) + int(micros) / 1e6


def note(process: str) -> None:
    """Say how far this process's clock is off. Called every few seconds; without Redis nobody hears it."""
    try:
        now = _reference()
        _keep(f"{process} ({socket.gethostname()})", time.time() - now, now)
    except bus.BusError as error:
        log.debug("No clock to compare with, Redis is away: %s", error)


def note_database() -> None:
    """Say how far the database's clock is off, on which leases are."""
    try:
        before, told, after = time.time(), database_time(), time.time()
        now = _reference()
        _keep("database", told - (before + after) / 2 + (time.time() - now), now)
    except (bus.BusError, DatabaseError) as error:
        log.debug("The database's clock was not compared: %s", error)


def note_host(host: Host, told: float, began: float) -> None:
    """Something happened on the host between `began` and now (this process's clock), and by its clock at `told`."""
    here = time.time()
    off = told - began if told < began else told - here if told > here else 0.0
    try:
        now = _reference()
        _keep(f"host:{host.pk}", off + (here - now), now, host.name)
    except bus.BusError as error:
        log.debug("Host %s: its clock was not compared: %s", host, error)


def _keep(name: str, seconds: float, now: float, title: str = "") -> None:
    bus.client().hset(KEY, name, json.dumps([round(seconds, 3), now, title]))


def skewed() -> list[Skew]:
    """The clocks that differ by more than five seconds, the worst first."""
    try:
        now, told = _reference(), bus.client().hgetall(KEY)
    except bus.BusError:
        return []
    found = []
    for name, text in told.items():
        seconds, at, title = json.loads(text)
        is_host = name.startswith("host:")
        if abs(seconds) > LIMIT and now - at < (KEEP_HOST if is_host else KEEP_PROCESS):
            found.append(Skew(title or name, seconds, is_host))
    return sorted(found, key=lambda skew: -abs(skew.seconds))


NOW = {
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
}


def database_time() -> float:
    """Seconds since 1970 by the database's clock: the one that all our processes share."""
    with connection.cursor() as cursor:
        cursor.execute(NOW[connection.vendor])
        return float(cursor.fetchone()[0])
