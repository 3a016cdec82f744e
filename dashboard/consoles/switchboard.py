"""All serial lines of this process: which are open, over which host connections, and who must leave."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

from django.db import DatabaseError, connections

from dashboard.consoles import rights
from dashboard.consoles.lines import Line, Watcher
from dashboard.consoles.refusals import RESTART, TIME, Why
from dashboard.consoles.rights import Grant
from dashboard.consoles.seats import Seat
from dashboard.consoles.watch import BLIND_SECONDS
from dashboard.inventory.credentials import spec_for
from dashboard.inventory.models import Host
from dashboard.virt.connection import Connection, open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.streams import ConsoleStream, open_console
from dashboard.virt.uri import HostSpec

log = logging.getLogger(__name__)

Key = tuple[int, str]


class HostConnections:
    """One libvirt connection per host for all its serial lines; used from threads."""

    def __init__(self) -> None:
        self._open: dict[int, Connection] = {}
        self._lock = threading.Lock()
        self._turns: dict[int, threading.Lock] = {}

    def console(self, host_id: int, uuid: str, force: bool) -> ConsoleStream:
        """A stream to the guest's serial line. Raises VirtError."""
        with self._lock:
            turn = self._turns.setdefault(host_id, threading.Lock())
        with turn:
            connection = self._open.get(host_id)
            spec = self._spec(host_id)
            if connection is None or not connection.alive() or connection.spec != spec:
                if connection is not None:
                    connection.close()
                connection = self._open[host_id] = open_connection(spec)
        return open_console(connection, uuid, force=force)

    def _spec(self, host_id: int) -> HostSpec:
        try:
            return spec_for(Host.objects.get(pk=host_id))
        except Host.DoesNotExist as error:
            raise VirtError("not_found", "the host was removed") from error
        except DatabaseError as error:
            raise VirtError("unreachable", str(error)) from error
        finally:
            connections.close_all()

    def close_unused(self, used: set[int]) -> None:
        """Give back the connections of hosts without open lines."""
        for host_id in set(self._open) - used:
            self._open.pop(host_id).close()


class Switchboard:
    """The lines, and the eye on everybody at them. Made and used on the event loop."""

    def __init__(self) -> None:
        self.hosts = HostConnections()
        self._lines: dict[Key, Line] = {}
        self._seated: dict[Watcher, tuple[Grant, Seat, float]] = {}
        self._seen = time.monotonic()
        self._task = asyncio.create_task(self._look_for_ever())

    def join(self, watcher: Watcher, grant: Grant, seat: Seat) -> Line:
        """Put a watcher at the guest's line, opening it for the first."""
        key = (grant.host, grant.uuid)
        line = self._lines.get(key)
        if line is None:
            line = Line(lambda force: self.hosts.console(grant.host, grant.uuid, force), lambda _: self._drop(key))
            self._lines[key] = line
        self._seated[watcher] = (grant, seat, time.monotonic())
        line.join(watcher)
        return line

    def leave(self, watcher: Watcher, line: Line) -> None:
        """A watcher has gone."""
        self._seated.pop(watcher, None)
        line.leave(watcher)

    def _drop(self, key: Key) -> None:
        self._lines.pop(key, None)

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(rights.SECONDS_BETWEEN_LOOKS)
            await self._look()

    async def _look(self) -> None:
        """One batched look at everybody's rights, off the loop; also keeps their seats."""
        seated = dict(self._seated)
        ended = await asyncio.to_thread(self._ask, {grant for grant, _, _ in seated.values()})
        now = time.monotonic()
        for watcher, (grant, _, since) in seated.items():
            why = TIME if now - since > rights.LONGEST_SECONDS else ended.get(grant)
            if why is not None:
                watcher.end(why)
        await asyncio.to_thread(self._keep, [seat for _, seat, _ in seated.values()], {key[0] for key in self._lines})

    def _ask(self, grants: set[Grant]) -> dict[Grant, Why]:
        try:
            ended = rights.ended(grants) if grants else {}
        except DatabaseError:
            blind = time.monotonic() - self._seen > BLIND_SECONDS
            return dict.fromkeys(grants, RESTART) if blind else {}
        finally:
            connections.close_all()
        self._seen = time.monotonic()
        return ended

    def _keep(self, seats: list[Seat], used: set[int]) -> None:
        for seat in seats:
            seat.renew()
        self.hosts.close_unused(used)

    async def close(self) -> None:
        """The process ends."""
        self._task.cancel()
        for line in list(self._lines.values()):
            line.close()
