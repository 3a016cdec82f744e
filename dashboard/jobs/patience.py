"""Waiting for the database: what must be written about a job is tried again until it is written, however long that takes.

Nothing is lost in the meantime: the step that ran is known to the thread that waits, and nobody else can take the job,
because claiming it is a write, too. Every such write is fenced, so one that came through unheard does no harm twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

from dashboard.inventory import fullness

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0

leaving = threading.Event()
"""Set when this process is to end: jobs hand over at the next safe place, and nobody waits any longer."""

T = TypeVar("T")


def patiently(work: Callable[[], T], waited: Callable[[float], None] = lambda seconds: None) -> T:
    """Do `work` until the database takes it. `waited` is told for how long that was not so.

    Inside a transaction there is nothing to repeat: whoever began it waits. An error that will not pass by itself, and
    any error once the process is leaving, is raised.
    """
    if connection.in_atomic_block:
        return work()
    begun, pause = time.monotonic(), FIRST_PAUSE
    failed = False
    while True:
        try:
            result = work()
        except (OperationalError, InterfaceError) as error:
            if not fullness.passes(error) or leaving.is_set():
                raise
            if not failed:
                say("a job waits for the database", error)
            failed = True
            if connection.vendor != "sqlite":
                connection.close()
        else:
            if failed:
                waited(time.monotonic() - begun)
            return result
        leaving.wait(pause)
        pause = min(LONGEST_PAUSE, pause * 2)


def say(what: str, error: BaseException) -> None:
    """Log a failure of the database: one line where it passes by itself, the traceback where it does not."""
    if fullness.met(error):
        return  # said once, by whoever met it first
    if isinstance(error, Exception) and fullness.passes(error):
        logger.warning("%s: %s", what, " ".join(str(error).split()))
    else:
        logger.error("%s", what, exc_info=error)
