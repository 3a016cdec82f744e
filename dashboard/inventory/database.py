"""The database as a long-running thread needs it: a lock or an outage is waited out, a dead connection is replaced."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

from dashboard.inventory import fullness

log = logging.getLogger(__name__)

T = TypeVar("T")


class Stopped(Exception):
    """Whoever waits for the database is no longer wanted."""


def persist(work: Callable[[], T], stopped: Callable[[], bool]) -> T:
    """Do `work`, again and again while the database is locked or away. `work` must be harmless to repeat.

    Raises Stopped when `stopped()` says that its result is no longer wanted; nothing is written after that.
    """
    pause, told = 0.1, False
    while True:
        if stopped():
            raise Stopped
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            if not fullness.met(error) and not told:
                log.warning("The database does not answer, trying again until it does: %s", error)
            told = True
            if connection.vendor != "sqlite":
                connection.close()
        finally:
            tidy()  # two hundred hosts' threads share a handful of connections
        time.sleep(pause)
        pause = min(2.0, pause * 2)


def tidy() -> None:
    """Give this thread's connection back, or close it if it broke. SQLite's is kept: opening it costs more than it holds."""
    if connection.vendor != "sqlite" and not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
