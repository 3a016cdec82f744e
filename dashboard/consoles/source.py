"""Where one serial line comes from: a libvirt connection of its own, made anew when it dies, and streams over it."""

from __future__ import annotations

import threading

from django.db import DatabaseError, connections

from dashboard.inventory.credentials import spec_for
from dashboard.inventory.models import Host
from dashboard.virt.connection import Connection, open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.streams import ConsoleStream, open_console
from dashboard.virt.uri import HostSpec


class Source:
    """Opens the line of one guest as often as needed. Its methods wait for the host: call them on a thread.

    A connection for each line, because a guest that does not read its line holds up all that goes over its connection.
    """

    def __init__(self, host_id: int, uuid: str) -> None:
        self._host_id, self._uuid = host_id, uuid
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._closed = False

    def open(self, *, force: bool) -> ConsoleStream:
        """A stream to the guest's serial line; `force` takes it away from another program. Raises VirtError."""
        with self._lock:
            if self._closed:
                raise VirtError("aborted", "nobody watches any more")
            spec = self._spec()
            connection = self._connection
            if connection is None or not connection.alive() or connection.spec != spec:
                self._give_back()
                connection = self._connection = open_connection(spec)
            return open_console(connection, self._uuid, force=force)

    def close(self) -> None:
        """Give the connection back, and with it the stream; nothing opens any more."""
        with self._lock:
            self._closed = True
            self._give_back()

    def _give_back(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _spec(self) -> HostSpec:
        try:
            return spec_for(Host.objects.get(pk=self._host_id))
        except Host.DoesNotExist as error:
            raise VirtError("not_found", "the host was removed") from error
        except DatabaseError as error:
            raise VirtError("unreachable", str(error)) from error
        finally:
            connections.close_all()
