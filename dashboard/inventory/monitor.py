"""The monitor process: one watch per enabled host, requests from other processes, and the heartbeat that pages trust."""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from dashboard.inventory import bus, clocks, metrics, publish, screens, store
from dashboard.inventory.credentials import remove_files, renew
from dashboard.inventory.database import tidy
from dashboard.inventory.enrol import enrol_this_machine
from dashboard.inventory.models import Host
from dashboard.inventory.reader import whole_host
from dashboard.inventory.watch import HostWatch
from dashboard.virt.errors import MESSAGES

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
TICK_SECONDS = 1.0
BEAT_SECONDS = 3.0
RESTART_SECONDS = 30.0
ASKS_AT_ONCE = 100
END_SECONDS = 3.0

Signature = tuple[Any, ...]
SIGNED = ("transport", "address", "port", "user", "secrets", "host_keys")
"""What a connection is made of: a change of any means a new connection."""


@dataclass(frozen=True)
class Asked:
    """What another process wants looked at (see `inventory.refresh`)."""

    host_id: int
    what: str
    uuid: str = ""


def asked_by(text: str) -> Asked | None:
    """A request as it came through Redis; None for what is none."""
    try:
        said = json.loads(text)
        return Asked(int(said["host"]), str(said["what"]), str(said.get("uuid", "")))
    except (ValueError, TypeError, LookupError, AttributeError):
        log.warning("A request that nobody understands: %.200s", text)
        return None


class Monitor:
    """Runs in the main thread until `stop`."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._watches: dict[int, HostWatch] = {}
        self._signatures: dict[int, Signature] = {}
        self._names: dict[int, str] = {}
        self._due = dict.fromkeys(("look", "tick", "beat"), 0.0)
        self._asks: Any = None

    def run(self) -> None:
        """Watch every host until `stop` is called."""
        self._reset()
        threading.Thread(target=self._enrol, name="enrol", daemon=True).start()
        while not self.stopping.is_set():
            for ask in self._hear():
                self._take(ask)
            self._do_due()
        self._end()

    def stop(self) -> None:
        """Make `run` return; safe in a signal handler."""
        self.stopping.set()

    # -- start and end

    def _reset(self) -> None:
        """Nothing is known to be live before it has been compared."""
        while not self.stopping.is_set():
            try:
                Host.objects.filter(enabled=True).update(
                    status=Host.Status.CONNECTING, status_text="", status_detail=""
                )
                break
            except DatabaseError as error:
                log.warning("The database does not answer, trying again: %s", error)
                self.stopping.wait(1.0)
        publish.publish({"k": "resync"})

    def _end(self) -> None:
        """Leave no host that looks live behind."""
        for watch in self._watches.values():
            watch.stop()
        until = time.monotonic() + END_SECONDS
        for watch in self._watches.values():
            watch.join(max(0.0, until - time.monotonic()))
        try:
            Host.objects.filter(status=Host.Status.LIVE).update(status=Host.Status.CONNECTING, last_seen=timezone.now())
        except DatabaseError as error:
            log.warning("Hosts keep their status in the database: %s", error)
        publish.publish({"k": "resync"})
        try:
            bus.client().delete(bus.HEARTBEAT)
        except bus.BusError as error:
            log.debug("Redis is away already: %s", error)

    def _enrol(self) -> None:
        with suppress(DatabaseError):  # what is kept as before can be read as well, and is renewed at the next start
            renew()
        while not self.stopping.is_set() and not enrol_this_machine():
            tidy()
            self.stopping.wait(LOOK_SECONDS)
        connection.close()
        self._due["look"] = 0.0

    # -- requests

    def _hear(self) -> list[Asked]:
        """Requests that came within a second; after Redis was away, also to compare everything."""
        try:
            if self._asks is None:
                asks = bus.client().pubsub(ignore_subscribe_messages=True)
                asks.subscribe(bus.ASK)
                self._asks = asks
                publish.flush()
                return [Asked(host_id, "all") for host_id in self._watches]
            found: list[str] = []
            while len(found) < ASKS_AT_ONCE:
                message = self._asks.get_message(timeout=0.0 if found else TICK_SECONDS)
                if message is None:
                    break
                found.append(str(message["data"]))
        except bus.BusError as error:
            if self._asks is not None:
                log.warning("Redis is away, nobody can ask for anything: %s", error)
            self._asks = None
            self.stopping.wait(TICK_SECONDS / 2)
            return []
        return [asked for asked in map(asked_by, found) if asked is not None]

    def _take(self, asked: Asked) -> None:
        watch = self._watches.get(asked.host_id)
        if watch is None or asked.what == "host":
            self._due["look"] = 0.0
        if asked.what == "watch":
            self._due["tick"] = 0.0
        elif watch is not None and asked.what != "host":
            watch.ask(asked.what, asked.uuid)

    # -- regular work

    def _do_due(self) -> None:
        now = time.monotonic()
        for name, seconds, work in (
            ("look", LOOK_SECONDS, self._look),
            ("tick", TICK_SECONDS, self._tick),
            ("beat", BEAT_SECONDS, self._beat),
        ):
            if self._due[name] <= now:
                self._due[name] = now + seconds
                work()

    def _beat(self) -> None:
        try:
            bus.client().set(bus.HEARTBEAT, str(round(time.time() * 1000)), ex=bus.HEARTBEAT_KEPT)
        except bus.BusError as error:
            log.debug("No heartbeat without Redis: %s", error)
        clocks.note("monitor")
        clocks.note_database()

    def _tick(self) -> None:
        try:
            watched, pictures = metrics.watched(self._watches), screens.wanted(self._watches)
        except bus.BusError:
            watched, pictures = set(), {}
        for host_id, watch in list(self._watches.items()):
            if not watch.tick(host_id in watched, pictures.get(host_id, ())):
                log.error("Host %s: its thread hangs and is replaced", host_id)
                self._restart(host_id)
            elif watch.dead and time.monotonic() - watch.started > RESTART_SECONDS:
                log.error("Host %s: its thread ended by a fault and is started anew", host_id)
                self._restart(host_id)
            elif watch.dead:
                self._failed(host_id)

    def _look(self) -> None:
        """Start, replace and stop watches so that they fit the table of hosts."""
        try:
            hosts = {host.pk: host for host in Host.objects.all()}
        except DatabaseError as error:
            log.warning("The table of hosts cannot be read, trying again: %s", error)
            return
        for host_id in self._watches.keys() - hosts.keys():
            self._forget(host_id)
        for host_id, host in hosts.items():
            signature = tuple(getattr(host, name) for name in SIGNED)
            if not host.enabled:
                self._disable(host)
            elif host_id not in self._watches:
                if host.status in (Host.Status.NEW, Host.Status.DISABLED):
                    self._say(host_id, Host.Status.CONNECTING)
                self._start(host_id, signature)
            elif self._signatures[host_id] != signature:
                self._restart(host_id, signature)
            elif self._names.get(host_id) != host.name:
                self._watches[host_id].ask("host")
            self._names[host_id] = host.name
        tidy()

    def _start(self, host_id: int, signature: Signature) -> None:
        self._signatures[host_id] = signature
        self._watches[host_id] = HostWatch(host_id)
        self._watches[host_id].start()

    def _restart(self, host_id: int, signature: Signature | None = None) -> None:
        self._watches[host_id].stop()
        self._say(host_id, Host.Status.CONNECTING)
        self._start(host_id, signature or self._signatures[host_id])

    def _forget(self, host_id: int) -> None:
        """The host was removed from the table, and all that it had with it."""
        self._watches.pop(host_id).stop()
        self._signatures.pop(host_id, None)
        metrics.forget(host_id)
        remove_files(host_id)
        publish.publish_many([{"k": "host", "host": host_id, "op": "gone", "row": {"id": host_id}}, {"k": "resync"}])

    def _disable(self, host: Host) -> None:
        watch = self._watches.pop(host.pk, None)
        if watch is not None:
            watch.stop()
        if host.status != Host.Status.DISABLED:
            self._say(host.pk, Host.Status.DISABLED)

    def _failed(self, host_id: int) -> None:
        self._say(host_id, Host.Status.DOWN, MESSAGES["internal"])

    def _say(self, host_id: int, status: str, text: str = "") -> None:
        """Write and tell a host's status from here, where its own thread cannot."""
        try:
            with transaction.atomic():
                host = Host.objects.get(pk=host_id)
                news = store.set_status(host, status, text)
        except (DatabaseError, Host.DoesNotExist) as error:
            log.warning("Host %s: its status could not be written: %s", host_id, error)
            return
        if news:
            publish.publish_many(whole_host(host))
