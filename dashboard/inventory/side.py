"""Slow readings of a host (pools on dead storage, guest agents), each kind on a throw-away thread, one at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dashboard.virt import guests, storage
from dashboard.virt.connection import Connection, open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.facts import PoolFacts
from dashboard.virt.uri import HostSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PoolsRead:
    """What pools hold. `all`: a pool not among them is gone."""

    pools: list[PoolFacts]
    gone: list[str] = field(default_factory=list)
    all: bool = False


@dataclass(frozen=True)
class AddressesRead:
    """Guests' addresses by UUID."""

    addresses: dict[str, list[dict[str, Any]]]


Found = TypeVar("Found")


class Side(Generic[Found]):
    """Runs one reading at a time and delivers what it found; a reading that hangs holds up only its own kind."""

    def __init__(self, spec: HostSpec, kind: str, deliver: Callable[[Found], None]) -> None:
        self.spec = spec
        self.name = f"{kind}-{spec.key}"
        self.took = 0.0
        """Seconds that the last reading took."""
        self._deliver = deliver
        self._idle = threading.Event()
        self._idle.set()
        self._connection: Connection | None = None
        self._closed = False
        self.shared: Connection | None = None
        """A connection that needs no second one (the test driver's)."""

    @property
    def busy(self) -> bool:
        """Whether a reading runs."""
        return not self._idle.is_set()

    def start(self, read: Callable[[Any], Found]) -> bool:
        """Begin a reading on this kind's own connection, unless one runs; whether it was begun."""
        if self.busy:
            return False
        self._idle.clear()
        threading.Thread(target=self._run, args=(read,), name=self.name, daemon=True).start()
        return True

    def wait(self, seconds: float) -> None:
        """Wait for the reading that runs, but no longer."""
        self._idle.wait(seconds)

    def close(self) -> None:
        """Give the connection up for good, and with it a reading that hangs."""
        self._closed = True
        self.drop()

    def drop(self) -> None:
        """Give this connection up, and with it a reading that hangs; the next reading opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            threading.Thread(target=connection.close, args=(1.0,), name=f"close-{self.name}", daemon=True).start()

    def _conn(self) -> Any:
        if self.shared is not None:
            return self.shared.conn
        if self._connection is None or not self._connection.alive():
            self.drop()
            connection = self._connection = open_connection(self.spec)
            if self._closed:  # while it was being opened: nobody else would close it
                self.drop()
                raise VirtError("aborted", "the host's session has ended")
            return connection.conn
        return self._connection.conn

    def _run(self, read: Callable[[Any], Found]) -> None:
        started = time.monotonic()
        try:
            self._deliver(read(self._conn()))
        except VirtError as error:
            log.info("%s: %s", self.name, error)
        finally:
            self.took = time.monotonic() - started
            self._idle.set()


def all_pools(conn: Any) -> PoolsRead:
    """Every pool with its volumes."""
    return PoolsRead(storage.read_pools(conn), all=True)


def some_pools(conn: Any, uuids: Iterable[str]) -> PoolsRead:
    """These pools with their volumes."""
    found, gone = [], []
    for uuid in uuids:
        try:
            found.append(storage.read_pool(conn, uuid))
        except VirtError as error:
            if error.code != "not_found":
                raise
            gone.append(uuid)
    return PoolsRead(found, gone)


def addresses_of(conn: Any, uuids: Iterable[str]) -> AddressesRead:
    """The addresses of these guests; what went away meanwhile is left out."""
    found = {}
    for uuid in uuids:
        try:
            found[uuid] = guests.addresses(conn, uuid)
        except VirtError as error:
            if error.code == "unreachable":
                raise
    return AddressesRead(found)
