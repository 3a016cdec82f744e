"""Takes the pictures of one host's screens that somebody wants, one after another, on a connection and thread of their own."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from dashboard.inventory import screens
from dashboard.inventory.side import Side
from dashboard.virt import change
from dashboard.virt.errors import VirtError
from dashboard.virt.picture import thumbnail
from dashboard.virt.uri import HostSpec

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds after which a guest that does not give its picture is given up, and the connection with it."""
AGAIN_SECONDS = 45.0
"""Until a guest that had no picture to give is asked again."""
PUNISHED_SECONDS = 600.0
"""Until one that hung is."""


class Photographer:
    """Belongs to a host's session; `look` is called every second or so from one thread."""

    def __init__(self, spec: HostSpec, host_id: int) -> None:
        self.host_id = host_id
        self.side: Side[int] = Side(spec, "screens", self._taken)
        self._due: dict[str, float] = {}
        """When each guest's picture may be taken next, by UUID."""
        self._busy_with = ""
        self._since = 0.0

    def look(self, wanted: Sequence[str]) -> None:
        """Take those pictures that are due; one round at a time, however long it takes."""
        now = time.monotonic()
        if self.side.busy:
            self._mend(now)
            return
        due = sorted(
            {uuid for uuid in wanted if self._due.get(uuid, 0.0) <= now}, key=lambda uuid: self._due.get(uuid, 0.0)
        )
        self._due = {uuid: when for uuid, when in self._due.items() if when > now}
        if due:
            self._since = now
            self.side.start(lambda conn: self._round(conn, due))

    def close(self) -> None:
        """Give the connection up for good."""
        self.side.close()

    def _mend(self, now: float) -> None:
        """Cut the connection of a guest that hangs: its call ends with an error, and the round with it."""
        uuid = self._busy_with
        if uuid and now - self._since > PATIENCE:
            log.warning("Host %s: guest %s has not given its picture for %.0f s", self.host_id, uuid, PATIENCE)
            self._due[uuid] = now + PUNISHED_SECONDS
            self._busy_with = ""
            self.side.drop()

    def _round(self, conn: Any, uuids: Sequence[str]) -> int:
        taken = 0
        for uuid in uuids:
            self._busy_with, self._since = uuid, time.monotonic()
            self._due[uuid] = self._since + screens.EVERY_SECONDS
            try:
                screens.keep(self.host_id, uuid, thumbnail(change.screenshot(conn, uuid)[1]))
                taken += 1
            except (VirtError, ValueError) as error:
                if isinstance(error, VirtError) and error.code in ("unreachable", "timeout"):
                    self._due[uuid] = max(self._due[uuid], time.monotonic() + AGAIN_SECONDS)
                    raise
                log.debug("Host %s: no picture of %s: %s", self.host_id, uuid, error)
                self._due[uuid] = time.monotonic() + AGAIN_SECONDS
                screens.keep(self.host_id, uuid, b"")
            finally:
                self._busy_with = ""
        return taken

    def _taken(self, number: int) -> None:
        log.debug("Host %s: %s pictures", self.host_id, number)
