"""The eye on one open console: ends it within seconds when its session, its rights or its time is over."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, connections

from dashboard.consoles import rights
from dashboard.consoles.refusals import RESTART, TIME, Why
from dashboard.consoles.rights import Grant

log = logging.getLogger(__name__)

BLIND_SECONDS = 30.0
"""How long a console stays open while the database does not answer."""


class Watch(threading.Thread):
    """Looks every two seconds; calls `end` once, with the reason, when the console has to close."""

    def __init__(self, grant: Grant, end: Callable[[Why], None], beat: Callable[[], None]) -> None:
        super().__init__(name="watch", daemon=True)
        self._grant, self._end, self._beat = grant, end, beat
        self._over = threading.Event()
        self._parent = os.getppid()

    def stop(self) -> None:
        """The console has ended by itself."""
        self._over.set()

    def run(self) -> None:
        """Look until there is a reason to end."""
        started = seen = time.monotonic()
        while not self._over.wait(rights.SECONDS_BETWEEN_LOOKS):
            now = time.monotonic()
            if os.getppid() != self._parent:
                why: Why | None = RESTART
            elif now - started > rights.LONGEST_SECONDS:
                why = TIME
            else:
                try:
                    why, seen = rights.ended([self._grant]).get(self._grant), now
                except DatabaseError:
                    why = RESTART if now - seen > BLIND_SECONDS else None
                finally:
                    connections.close_all()  # a hundred consoles must not hold a hundred connections
            if why is not None:
                self._end(why)
                return
            self._beat()
