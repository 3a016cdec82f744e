"""Reading one host's counters on a connection and a thread of their own, which a hung guest may block without harm."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dashboard.inventory import bus, metrics
from dashboard.inventory.rates import Rates
from dashboard.virt import guests
from dashboard.virt.connection import Connection, open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.facts import GuestState
from dashboard.virt.uri import HostSpec

log = logging.getLogger(__name__)

WATCHED_SECONDS = 2.0
IDLE_SECONDS = 30.0
PATIENCE = 12.0
"""Seconds after which a round counts as hung, at first; doubled each time, for hosts that are only slow."""
LONGEST_PATIENCE = 120.0


@dataclass(frozen=True)
class StatesRead:
    """States of active guests by UUID, as the statistics told them."""

    states: dict[str, GuestState]


class Statistics:
    """One round of counters every 2 s while somebody looks, else every 30 s. `retire` gives the thread up."""

    def __init__(
        self, spec: HostSpec, host_id: int, on_states: Callable[[StatesRead], None], shared: Connection | None
    ) -> None:
        """`on_states` hears of active guests' states each round; `shared` is a connection that needs no second one."""
        self.spec = spec
        self.host_id = host_id
        self.connection = shared
        self.watched = False
        self._shared = shared is not None
        self._on_states = on_states
        self._wake = threading.Event()
        self._retired = threading.Event()
        self._patience = PATIENCE
        self._busy_since: float | None = None
        self._rates = Rates()
        self._first = True

    def start(self) -> None:
        """Begin reading, on a new thread."""
        self._retired = threading.Event()
        threading.Thread(
            target=self._run, args=(self._retired,), name=f"statistics-{self.spec.key}", daemon=True
        ).start()

    def watch(self, watched: bool) -> None:
        """Say whether somebody looks; a first look is answered at once."""
        first, self.watched = watched and not self.watched, watched
        if first:
            self._wake.set()

    def mend(self) -> bool:
        """If a round hangs, cut its connection, leave its thread behind and start anew; whether that was needed.

        The new connection's calls pass over the hung guest, since libvirtd still holds its job for the old call.
        """
        since = self._busy_since
        if since is None or self._shared or time.monotonic() - since < self._patience:
            return False
        log.warning("Host %s: statistics have hung for %.0f s, starting anew", self.host_id, self._patience)
        self._patience = min(LONGEST_PATIENCE, self._patience * 2)
        self.stop()
        self.start()
        return True

    def stop(self) -> None:
        """Give the thread and the connection up, without waiting for either."""
        self._retired.set()
        self._wake.set()
        self._busy_since = None
        connection, self.connection = self.connection, None
        if connection is not None and not self._shared:
            threading.Thread(target=connection.close, args=(1.0,), name="close-statistics", daemon=True).start()

    def _run(self, retired: threading.Event) -> None:
        pause = 1.0
        while not retired.is_set():
            try:
                connection = self._connect(retired)
                while connection.alive() and not retired.is_set():
                    pause = self._round(connection, retired)
                    self._sleep(pause)
            except VirtError as error:
                if not retired.is_set():
                    log.info("Host %s: no statistics: %s", self.host_id, error)
            if not retired.is_set():
                pause = min(IDLE_SECONDS, max(1.0, pause * 2))
                retired.wait(pause)

    def _connect(self, retired: threading.Event) -> Connection:
        if self._shared and self.connection is not None:
            return self.connection
        connection = open_connection(self.spec)
        if retired.is_set():
            connection.close()
        else:
            self.connection = connection
        return connection

    def _round(self, connection: Connection, retired: threading.Event) -> float:
        """Read, store and tell once; the seconds until the next round."""
        started = time.monotonic()
        self._busy_since = started
        stats = guests.read_stats(connection.conn)
        now = time.time()
        if retired.is_set():
            return 0.0
        self._busy_since = None
        self._patience = min(LONGEST_PATIENCE, max(PATIENCE, 4 * (time.monotonic() - started)))
        self._on_states(StatesRead({one.uuid: one.state for one in stats}))
        samples, gone = self._rates.take(stats, now)
        try:
            metrics.record(self.host_id, round(now * 1000), samples, gone, tell=self.watched)
        except bus.BusError as error:
            log.debug("Redis is away, a round of figures is lost: %s", error)
        # Two rounds make a rate: the second follows at once, that there is something to show.
        interval = WATCHED_SECONDS if self.watched or self._first else IDLE_SECONDS
        self._first = False
        return max(interval - (time.monotonic() - started), time.monotonic() - started)

    def _sleep(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()
