"""What is full: the database, Redis, the disk of the state folder or that of the logs; found out, told to all processes.

Each process believes an error that it met, and what another told through Redis, until writing works again.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from dashboard.inventory import bus

log = logging.getLogger(__name__)

RESERVE = 16 * 2**20
"""Bytes of the state folder's disk that are kept for what runs already: its jobs, its audit entries."""
LOG_RESERVE = 2**20
LOW_FRACTION = 0.05
LOW_BYTES = 5 * 2**30
"""A disk is nearly full when less than this and less than 5 % are left."""
LOOK_SECONDS = 3.0
BELIEVED_SECONDS = 15
PROBE_BYTES = 64 * 1024
TOLD = "kvmweb:full:database"
PROBE = "kvmweb:full:probe"

DATABASE_FULL = gettext_noop("The database cannot grow: %(detail)s. Make room on its disk.")
DISK_FULL = gettext_noop("The disk of %(path)s is full (%(left)s MiB left). Make room on it.")
LOG_FULL = gettext_noop("The disk of the log, %(path)s, is full. Make room on it.")
REDIS_FULL = gettext_noop("Redis is out of memory (%(detail)s). Give it more (maxmemory), or look what fills it.")
DISK_LOW = gettext_noop("The disk of %(path)s is nearly full: %(left)s MiB left, %(percent)s %%. Make room on it.")
REDIS_LOW = gettext_noop("Redis is nearly out of memory: %(percent)s %% left. Give it more (maxmemory).")

SQLITE_WORDS = ("database or disk is full", "disk i/o error", "unable to open database file", "readonly database")
POSTGRESQL_STATES = ("53100", "53200", "53000")
"""disk_full, out_of_memory, insufficient_resources"""
PASSING_STATES = ("08", "57", "53", "40", "55")
"""Classes of SQLSTATE that say nothing about the statement: connection, operator's intervention, resources, conflicts."""
REDIS_WORDS = "MISCONF "


@dataclass(frozen=True)
class Trouble:
    """Something that is full, or nearly so. `text` is English, the key of its translation."""

    what: str
    """database, disk, log or redis"""
    full: bool
    text: str
    values: dict[str, Any] = field(default_factory=dict)


def is_full(error: BaseException | None) -> bool:
    """Whether an error says that there is no room for a write, in the database or in Redis."""
    if isinstance(error, redis.ResponseError):
        return isinstance(error, redis.exceptions.OutOfMemoryError) or str(error).startswith(REDIS_WORDS)
    if not isinstance(error, Error):
        return False
    state = _sqlstate(error)
    return state in POSTGRESQL_STATES if state else any(words in str(error).lower() for words in SQLITE_WORDS)


def passes(error: BaseException) -> bool:
    """Whether the same write may succeed later without anybody's mending the program: full, locked, away."""
    if isinstance(error, InterfaceError) or is_full(error):
        return True
    if not isinstance(error, OperationalError):
        return False
    if isinstance(error.__cause__, sqlite3.Error):
        return "locked" in str(error) or "busy" in str(error)
    state = _sqlstate(error)
    return state is None or state[:2] in PASSING_STATES


def _sqlstate(error: BaseException) -> str | None:
    cause = error.__cause__
    return getattr(cause, "sqlstate", None)


# -- what this process met, and what others told

_met: dict[str, Any] = {"at": -1e9, "detail": ""}
_known: tuple[float, tuple[Trouble, ...]] = (-1e9, ())
_guard = threading.Lock()


def met(error: BaseException) -> bool:
    """An error of the database was met; whether it says "full". All processes learn it within seconds."""
    global _known
    if not is_full(error) or isinstance(error, redis.RedisError):
        if is_full(error):
            _known = (-1e9, ())  # ask Redis itself at the next look
            return True
        return False
    first = time.monotonic() - _met["at"] > BELIEVED_SECONDS
    _met.update(at=time.monotonic(), detail=" ".join(str(error).split())[:200])
    _known = (-1e9, ())
    if first:
        log.error("The database cannot grow: %s", _met["detail"])
    try:
        bus.client().set(TOLD, _met["detail"], ex=BELIEVED_SECONDS)
    except bus.BusError as failure:
        log.debug("Redis is away, others find out by themselves: %s", failure)
    return True


def look() -> tuple[Trouble, ...]:
    """What is full or nearly so, as of the last three seconds."""
    global _known
    at, found = _known
    if time.monotonic() - at < LOOK_SECONDS:
        return found
    with _guard:
        if time.monotonic() - _known[0] >= LOOK_SECONDS:
            _known = (time.monotonic(), tuple(_look()))
        return _known[1]


def full() -> list[Trouble]:
    """What is full: no change is begun while there is any."""
    return [trouble for trouble in look() if trouble.full]


def low() -> list[Trouble]:
    """What will be full soon."""
    return [trouble for trouble in look() if not trouble.full]


def _look() -> list[Trouble]:
    found = [*_disks()]
    told, memory = _redis()
    found += memory
    suspected = time.monotonic() - _met["at"] < BELIEVED_SECONDS
    if suspected or told:
        detail = _probe(_met["detail"] if suspected else told)
        if detail:
            found.append(Trouble("database", True, DATABASE_FULL, {"detail": detail}))
    return found


def _disks() -> list[Trouble]:
    state, logs = Path(settings.STATE_DIR), Path(settings.STATE_DIR) / "log"
    found = [_disk("disk", state, RESERVE, DISK_FULL)]
    if logs.exists() and logs.stat().st_dev != state.stat().st_dev:
        found.append(_disk("log", logs, LOG_RESERVE, LOG_FULL))
    return [trouble for trouble in found if trouble is not None]


def _disk(what: str, path: Path, reserve: int, text: str) -> Trouble | None:
    usage = shutil.disk_usage(path)
    values = {"path": str(path), "left": usage.free >> 20, "percent": round(100 * usage.free / max(1, usage.total), 1)}
    if usage.free < reserve:
        return Trouble(what, True, text, values)
    if usage.free < min(LOW_BYTES, usage.total * LOW_FRACTION):
        return Trouble(what, False, DISK_LOW, values)
    return None


def _redis() -> tuple[str, list[Trouble]]:
    """What another process told about the database, and whether Redis itself has room."""
    client, told = bus.client(), ""
    try:
        told = str(client.get(TOLD) or "")
        client.set(PROBE, "1", ex=60)
        memory = client.info("memory")
    except bus.BusError as error:
        # Away, or a Redis of one's own that lets nobody ask for its memory: other matters.
        return told, [Trouble("redis", True, REDIS_FULL, {"detail": str(error)[:200]})] if is_full(error) else []
    most = int(memory.get("maxmemory") or 0)
    left = 1 - int(memory["used_memory"]) / most if most else 1.0
    if left < LOW_FRACTION:
        return told, [Trouble("redis", False, REDIS_LOW, {"percent": round(100 * max(0.0, left), 1)})]
    return told, []


def _probe(detail: str) -> str:
    """Write something that needs room and take it back: "" when that works, else why not."""
    from dashboard.accounts.models import Counted

    if connection.in_atomic_block:
        return detail
    key = "upkeep.probe"
    try:
        with transaction.atomic():
            Counted.objects.filter(key=key).delete()
            Counted.objects.create(key=key, value="x" * PROBE_BYTES, expires_at=timezone.now())
        Counted.objects.filter(key=key).delete()
    except Error as error:
        if not is_full(error):
            return detail
        _met["at"] = time.monotonic()
        return " ".join(str(error).split())[:200]
    _met["at"] = -1e9
    try:
        bus.client().delete(TOLD)
    except bus.BusError as failure:
        log.debug("Redis is away: %s", failure)
    log.warning("The database takes writes again")
    return ""
