"""One host while it is connected: a full comparison, then every event and request turned into a small reading."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dashboard.inventory import side
from dashboard.inventory.agenda import Agenda, Kind
from dashboard.inventory.database import tidy
from dashboard.inventory.models import Host
from dashboard.inventory.photographer import Photographer
from dashboard.inventory.reader import Reader
from dashboard.inventory.statistics import StatesRead, Statistics
from dashboard.inventory.store import STOPPED, Seen, Values
from dashboard.virt import events
from dashboard.virt.connection import Connection, open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.facts import Event
from dashboard.virt.uri import HostSpec

log = logging.getLogger(__name__)

COMPARE_SECONDS = 600.0
POOLS_SECONDS = 60.0
"""libvirt tells no event when a volume is made or deleted."""
ADDRESSES_SECONDS = 30.0
TOUCH_SECONDS = 30.0
IN_LINE_SECONDS = 120.0
"""When the monitor starts, hundreds of hosts are to be connected at once: none is called down because it waits its turn."""
FIRST_POOLS_SECONDS = 3.0
"""A host is live without its pools if their storage hangs."""
AFTER_START = (4.0, 8.0, 15.0, 25.0)
"""Seconds after a start in which a guest may have got its address."""
AGAIN_SECONDS = 5.0
"""When an object that could not be read is tried again."""
GATHER = 0.025
"""Events that come in groups are gathered this long. Lifecycle events are not: they are what people look at."""


@dataclass(frozen=True)
class Ask:
    """Somebody wants something looked at (see `inventory.refresh`)."""

    what: str
    uuid: str = ""


Item = Event | Ask | StatesRead | side.PoolsRead | side.AddressesRead


class Session:
    """Runs on its host's own thread; only `ask`, `tick`, `abort` and `calling_since` are for others."""

    def __init__(self, host: Host, spec: HostSpec, stopped: Callable[[], bool]) -> None:
        self.host = host
        self.spec = spec
        self.connection: Connection | None = None
        self.reader: Reader | None = None
        self.statistics: Statistics | None = None
        self._stopped = stopped
        self._inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._agenda = Agenda()
        self._timers = dict.fromkeys(("compare", "pools", "addresses", "touch"), 0.0)
        self._soon: dict[str, list[float]] = {}
        """Guests whose addresses are looked up at these times, beside the regular round."""
        self._closed = ""
        self._pools = side.Side(spec, "pools", self._inbox.put)
        self._addresses = side.Side(spec, "addresses", self._inbox.put)
        self._photographer = Photographer(spec, host.pk)

    # -- for other threads

    def ask(self, what: str, uuid: str) -> None:
        """Have something looked at again."""
        self._inbox.put(Ask(what, uuid))

    def tick(self, watched: bool, pictures: Sequence[str] = ()) -> None:
        """Called every second or so: hands on whether somebody looks at figures and at which screens, and mends statistics
        that hang."""
        statistics = self.statistics
        if statistics is not None:
            statistics.watch(watched)
            statistics.mend()
        if self.live:
            self._photographer.look(pictures)

    def abort(self) -> None:
        """Cut the connection, so that a call that hangs ends."""
        connection = self.connection
        if connection is not None:
            connection.abort()

    @property
    def live(self) -> bool:
        """Whether the first full comparison stands in the database."""
        return self.reader is not None and self.reader.live

    @property
    def calling_since(self) -> float | None:
        """When the libvirt call that runs now was begun."""
        return self.reader.calling_since if self.reader is not None else None

    # -- the life of a session

    def run(self) -> None:
        """Connect, compare, follow. Returns when nobody wants it any more; VirtError when the host is lost."""
        try:
            reader = self._open()
            while not self._stopped():
                self._take_all(reader, self._wait())
                if self._closed:
                    raise VirtError("unreachable", f"The connection ended ({self._closed}).")
                self._do_due(reader)
                tidy()
        finally:
            self._close()

    def _open(self) -> Reader:
        """Everything up to "live": no event between registering and comparing is lost, they wait in the inbox."""
        self.connection = open_connection(self.spec, in_line=IN_LINE_SECONDS)
        events.subscribe(self.connection, self._inbox.put)
        shared = self.connection if self.spec.transport == "test" else None
        self._pools.shared = self._addresses.shared = self._photographer.side.shared = shared
        self.statistics = Statistics(self.spec, self.host.pk, self._inbox.put, shared)
        self.statistics.start()
        self.reader = Reader(self.host, self.connection, self._stopped)
        self._start_timers()
        self._pools.start(side.all_pools)
        self.reader.compare()
        self._pools.wait(FIRST_POOLS_SECONDS)
        self._take_pools(self.reader)
        self.reader.go_live()
        return self.reader

    def _take_pools(self, reader: Reader) -> None:
        """Apply the first reading of pools before "live", leaving all else in the inbox in its order."""
        waiting = []
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.append(self._inbox.get_nowait())
        for item in waiting:
            if isinstance(item, side.PoolsRead):
                reader.pools(item)
            else:
                self._inbox.put(item)

    def _close(self) -> None:
        if self.statistics is not None:
            self.statistics.stop()
        self._pools.close()
        self._addresses.close()
        self._photographer.close()
        if self.connection is not None:
            # Takes seconds where the host no longer answers; the next attempt does not wait for that.
            threading.Thread(target=self.connection.close, name=f"close-{self.spec.key}", daemon=True).start()

    def _start_timers(self) -> None:
        now = time.monotonic()
        self._timers = {
            "compare": now + COMPARE_SECONDS,
            "pools": now + POOLS_SECONDS,
            "addresses": now,
            "touch": now + TOUCH_SECONDS,
        }

    # -- what comes in

    def _wait(self) -> Item | None:
        times = [*self._timers.values(), *(when for times in self._soon.values() for when in times)]
        due = self._agenda.next_due()
        until = min([*times, due] if due is not None else times)
        with contextlib.suppress(queue.Empty):
            return self._inbox.get(timeout=max(0.0, until - time.monotonic()))
        return None

    def _take_all(self, reader: Reader, item: Item | None) -> None:
        with contextlib.suppress(queue.Empty):
            while item is not None:
                self._take(reader, item)
                item = self._inbox.get_nowait()

    def _take(self, reader: Reader, item: Item) -> None:
        match item:
            case Event():
                self._take_event(item)
            case Ask():
                self._take_ask(reader, item)
            case side.PoolsRead():
                reader.pools(item)
            case side.AddressesRead():
                reader.addresses(item)
            case StatesRead():
                self._take_states(reader, item)

    def _take_event(self, event: Event) -> None:
        now = time.monotonic()
        if event.kind == "closed":
            self._closed = str(event.detail.get("reason", "")) or "closed"
        elif event.kind in ("pool", "pool-gone", "volumes"):
            self._agenda.add("pool", event.uuid, now, delay=GATHER)
        elif event.kind in ("network", "network-gone"):
            self._agenda.add("network", event.uuid, now)
        else:
            self._take_guest_event(event, now)

    def _take_guest_event(self, event: Event, now: float) -> None:
        """Block jobs, migrations and finished jobs change disks and states too: every event on a guest has it read."""
        lifecycle = event.detail.get("lifecycle", "")
        # A renamed guest is undefined and defined again in one go: read it after both.
        at_once = lifecycle and lifecycle != "undefined"
        self._agenda.add("guest", event.uuid, now, delay=0.0 if at_once else GATHER, seen=_seen(event))
        if lifecycle == "started":
            self._soon[event.uuid] = [now + seconds for seconds in AFTER_START]
        elif event.detail.get("agent") == "connected":
            self._soon.setdefault(event.uuid, []).append(now + 0.2)
        elif lifecycle == "stopped":
            self._soon.pop(event.uuid, None)

    def _take_ask(self, reader: Reader, ask: Ask) -> None:
        now = time.monotonic()
        if ask.what == "all":
            self._timers |= {"compare": now, "pools": now}
        elif ask.what in ("pool", "volumes") and ask.uuid:
            self._agenda.add("pool", ask.uuid, now)
        elif ask.what in ("pool", "volumes"):
            self._timers["pools"] = now
        elif ask.what in ("guest", "network") and ask.uuid:
            self._agenda.add("guest" if ask.what == "guest" else "network", ask.uuid, now)
        elif ask.what == "host":
            reader.reload()

    def _take_states(self, reader: Reader, read: StatesRead) -> None:
        """Statistics tell states too. Where they differ from what was read an event is on its way, or was lost."""
        now = time.monotonic()
        active = {uuid for uuid, state in reader.states.items() if state not in STOPPED}
        differing = {uuid for uuid, state in read.states.items() if reader.states.get(uuid) != state}
        for uuid in differing | (active - read.states.keys()):
            self._agenda.add("guest", uuid, now, delay=1.0)

    # -- what is due

    def _do_due(self, reader: Reader) -> None:
        now = time.monotonic()
        if self._timers["compare"] <= now:
            reader.compare()
            self._timers["compare"] = time.monotonic() + COMPARE_SECONDS
        pools = []
        for kind, uuid, seen in self._agenda.take(now):
            if kind == "pool":
                pools.append(uuid)
            else:
                self._look(reader, kind, uuid, seen)
        self._start_pools(pools, now)
        self._start_addresses(reader, now)
        if self._timers["touch"] <= now:
            reader.touch()
            self._timers["touch"] = now + TOUCH_SECONDS

    def _look(self, reader: Reader, kind: Kind, uuid: str, seen: Seen) -> None:
        try:
            if kind == "guest":
                reader.guest(uuid, seen)
            else:
                reader.network(uuid)
        except VirtError as error:
            if error.code in ("unreachable", "timeout"):
                raise
            log.warning("Host %s: %s %s cannot be read: %s", self.host, kind, uuid, error)
            self._agenda.add(kind, uuid, time.monotonic(), delay=AGAIN_SECONDS, seen=seen)

    def _start_pools(self, uuids: list[str], now: float) -> None:
        if self._timers["pools"] <= now and self._pools.start(side.all_pools):
            # Storage that is slow to list is listed less often.
            self._timers["pools"] = now + max(POOLS_SECONDS, 60 * self._pools.took)
        elif uuids and not self._pools.start(lambda conn: side.some_pools(conn, uuids)):
            for uuid in uuids:
                self._agenda.add("pool", uuid, now, delay=0.1)
        elif self._timers["pools"] <= now:
            self._timers["pools"] = now + 1.0

    def _start_addresses(self, reader: Reader, now: float) -> None:
        wanted = {uuid for uuid, times in self._soon.items() if min(times) <= now}
        everybody = self._timers["addresses"] <= now
        if everybody:
            wanted |= {uuid for uuid, state in reader.states.items() if state not in STOPPED}
        if wanted and not self._addresses.start(lambda conn: side.addresses_of(conn, sorted(wanted))):
            later = now + 1.0
            self._timers["addresses"] = later if everybody else self._timers["addresses"]
        elif everybody:
            self._timers["addresses"] = now + max(ADDRESSES_SECONDS, 10 * self._addresses.took)
        left = {uuid: [when for when in times if when > now] for uuid, times in self._soon.items()}
        self._soon = {uuid: times for uuid, times in left.items() if times}


def _seen(event: Event) -> Seen:
    """What an event tells that reading the guest afterwards does not."""
    lifecycle, detail = event.detail.get("lifecycle", ""), event.detail
    error: Values | None = None
    if "io_error" in detail:
        error = {
            "reason": detail["io_error"],
            "disk": detail.get("disk", ""),
            "path": detail.get("path", ""),
            "at": event.at,
        }
    return Seen(
        started_at=event.at if lifecycle == "started" else None,
        io_error=error,
        resumed=lifecycle in ("started", "resumed", "stopped"),
    )
