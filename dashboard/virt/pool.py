"""Connections lent to those who change things: few per host, opened when needed, each to one borrower at a time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from dashboard.virt import relay
from dashboard.virt.connection import Connection, open_connection
from dashboard.virt.errors import VirtError, virt_errors
from dashboard.virt.uri import HostSpec

CONNECTIONS_PER_HOST = 24
"""More than a worker's threads, since a guest or a storage that hangs holds its borrower's connection for as long, and a
job may use two. Opened when needed, and closed when idle: there are that many only where so much hangs."""
WAIT_SECONDS = 30.0
IDLE_SECONDS = 120.0
SUSPICIOUS_SECONDS = 15.0
"""After which a borrowed connection's host is asked, on another one, whether it still answers."""


class _Slot:
    """One connection: lent, or idle."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lent = True
        self.since = time.monotonic()


class _Host:
    """The connections to one host as one spec describes it."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self.changed = threading.Condition()
        self.slots: list[_Slot] = []
        self.opening = 0
        self.retired = False

    def take(self, wait: float) -> _Slot:
        """An idle connection, the last used first; else a new one; else wait for one."""
        until = time.monotonic() + wait
        with self.changed:
            while not self.retired:
                self._drop_dead()
                idle = [slot for slot in self.slots if not slot.lent]
                if idle:
                    slot = max(idle, key=lambda one: one.since)
                    slot.lent, slot.since = True, time.monotonic()
                    return slot
                if len(self.slots) + self.opening < CONNECTIONS_PER_HOST:
                    self.opening += 1
                    break
                if not self.changed.wait(until - time.monotonic()):
                    raise VirtError("busy", f"all connections to this host were in use for {wait:g} s")
            else:
                raise VirtError("unreachable", "this host's connections have just been closed")
        return self._open()

    def _open(self) -> _Slot:
        slot: _Slot | None = None
        try:
            slot = _Slot(open_connection(self.spec))
            return slot
        finally:
            with self.changed:
                self.opening -= 1
                if slot is not None:
                    self.slots.append(slot)
                self.changed.notify_all()

    def give_back(self, slot: _Slot) -> None:
        with self.changed:
            slot.lent, slot.since = False, time.monotonic()
            unwanted = self._idle_too_long()
            if self.retired and slot in self.slots:
                unwanted.append(slot)
            self.slots = [one for one in self.slots if one not in unwanted]
            self.changed.notify_all()
        for one in unwanted:
            one.connection.close()

    def _idle_too_long(self) -> list[_Slot]:
        """All but one may go when nobody has used them for a while."""
        old = time.monotonic() - IDLE_SECONDS
        idle = [one for one in self.slots if not one.lent and one.since < old]
        return idle[: max(0, len(self.slots) - 1)]

    def _drop_dead(self) -> None:
        for slot in [one for one in self.slots if not one.lent and not one.connection.alive()]:
            self.slots.remove(slot)
            threading.Thread(target=slot.connection.close, name=f"close-{self.spec.key}", daemon=True).start()

    def retire(self) -> list[Connection]:
        """Lend no more; the connections nobody uses. Those in use close when they are given back."""
        with self.changed:
            self.retired = True
            unused = [one for one in self.slots if not one.lent]
            self.slots = [one for one in self.slots if one.lent]
            self.changed.notify_all()
        return [one.connection for one in unused]

    def question(self) -> None:
        """Where a borrower waits long, see whether the host answers anybody; if not, its calls get an error."""
        old = time.monotonic() - SUSPICIOUS_SECONDS
        with self.changed:
            waiting = [one for one in self.slots if one.lent and one.since < old]
        if not waiting:
            return
        try:
            open_connection(self.spec).close()
        except VirtError as error:
            if error.code not in ("unreachable", "timeout"):
                return
            for slot in waiting:
                slot.connection.abort()


class HostPool:
    """The connections of one process. A fork makes a child without any: see `borrow`."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="pool-watch", daemon=True).start()

    def _watch(self) -> None:
        """libvirtd may hang while its socket stays open, which no keepalive of the kernel sees."""
        while not self._closed.wait(SUSPICIOUS_SECONDS / 3):
            with self._lock:
                hosts = list(self._hosts.values())
            for host in hosts:
                threading.Thread(target=host.question, name=f"question-{host.spec.key}", daemon=True).start()

    @contextmanager
    def borrow(self, spec: HostSpec, *, wait: float = WAIT_SECONDS) -> Iterator[Any]:
        """Lend libvirt's connection object; libvirt's errors inside the block become VirtError.

        A dead connection is replaced first. Raises VirtError: what `open_connection` raises, or busy after `wait` seconds.
        """
        host = self._host(spec)
        slot = host.take(wait)
        try:
            with virt_errors():
                yield slot.connection.conn
        finally:
            host.give_back(slot)

    def forget(self, key: str) -> None:
        """Close the connections of a host that is removed or whose credentials changed."""
        with self._lock:
            host = self._hosts.pop(key, None)
        for connection in host.retire() if host else []:
            connection.close()
        relay.forget(key)

    def keep_only(self, keys: Collection[str]) -> None:
        """Close the connections of all hosts but these."""
        with self._lock:
            others = self._hosts.keys() - set(keys)
        for key in others:
            self.forget(key)

    def close(self) -> None:
        """Close everything; for the end of the process and of tests."""
        self._closed.set()
        for key in list(self._hosts):
            self.forget(key)

    def _host(self, spec: HostSpec) -> _Host:
        with self._lock:
            host = self._hosts.get(spec.key)
        if host is not None and host.spec != spec:
            self.forget(spec.key)
        with self._lock:
            return self._hosts.setdefault(spec.key, _Host(spec))


_pools: dict[int, HostPool] = {}
_pools_lock = threading.Lock()


def pool() -> HostPool:
    """This process's pool."""
    with _pools_lock:
        return _pools.setdefault(os.getpid(), HostPool())


@contextmanager
def borrow(spec: HostSpec, *, wait: float = WAIT_SECONDS) -> Iterator[Any]:
    """`pool().borrow(spec)`."""
    with pool().borrow(spec, wait=wait) as conn:
        yield conn
