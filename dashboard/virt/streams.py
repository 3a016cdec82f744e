"""A guest's serial line as a stream of bytes: told on the event thread, written on a thread of its own.

libvirt's streams have no flow control. A guest that does not read takes about 4 KiB and five messages; then its host
reads nothing more from the whole connection, and closes it after half a minute. So: a connection of its own for each
line, writing at a serial line's pace, and no lock in common between writing and the event thread, which would hold up
every other connection of the process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import libvirt

from dashboard.virt import eventloop
from dashboard.virt.connection import Connection
from dashboard.virt.errors import VirtError, virt_errors

log = logging.getLogger(__name__)

READ_AT_ONCE = 65536
SEND_AT_ONCE = 16384
BYTES_PER_SECOND = 11520
"""A serial line of 115200 baud. Large pastes keep to it; what is typed never notices."""
MAX_UNSENT = 1024 * 1024
"""Bytes that may wait for a guest that does not read its serial line."""
CLOSE_SECONDS = 2.0
_EVENTS = libvirt.VIR_STREAM_EVENT_READABLE | libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP
_BROKEN = libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP
_AGAIN = -2


class ConsoleStream:
    """An open serial line. Callbacks run on libvirt's event thread: quick, and without calls of libvirt."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream = stream
        self._name = name
        self._lock = threading.RLock()
        """Guards what is told. Never held while libvirt sends."""
        self._before = bytearray()
        """What came before anybody listened."""
        self._data: Callable[[bytes], None] | None = None
        self._end: Callable[[str], None] | None = None
        self._ended: str | None = None
        self._typed = threading.Condition()
        self._unsent = bytearray()
        self._writer: threading.Thread | None = None
        stream.eventAddCallback(_EVENTS, self._on_event, None)

    def on_data(self, callback: Callable[[bytes], None]) -> None:
        """Call `callback(bytes)` for whatever the guest says, what came earlier first."""
        with self._lock:
            self._data = callback
            earlier, self._before = bytes(self._before), bytearray()
            if earlier:
                callback(earlier)

    def on_end(self, callback: Callable[[str], None]) -> None:
        """Call `callback(reason)` once when the line ends: "" by itself (the guest is off), "closed" by us, or an error's text."""
        with self._lock:
            if self._ended is None:
                self._end = callback
                return
            reason = self._ended
        callback(reason)

    @property
    def ended(self) -> bool:
        """True when nothing will come any more."""
        return self._ended is not None

    def write(self, data: bytes) -> None:
        """Have bytes sent to the guest; returns at once.

        Raises VirtError: state (the line has ended), busy (the guest has not read for a megabyte).
        """
        with self._typed:
            if self._ended is not None:
                raise VirtError("state", "the serial line has ended")
            if len(self._unsent) + len(data) > MAX_UNSENT:
                raise VirtError("busy", "the guest does not read its serial line")
            self._unsent += data
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name=f"type-{self._name}", daemon=True)
                self._writer.start()
            self._typed.notify()

    def close(self) -> None:
        """End it. The guest does not notice."""
        self.finish("closed")

    def _write(self) -> None:
        pause = 0.0
        while True:
            with self._typed:
                # Whoever types within the pause is gathered into one message.
                self._typed.wait_for(lambda: self._ended is not None, timeout=pause)
                self._typed.wait_for(lambda: self._unsent or self._ended is not None)
                if self._ended is not None:
                    return
                chunk = bytes(self._unsent[:SEND_AT_ONCE])
            try:
                sent = self._stream.send(chunk)
            except libvirt.libvirtError as error:
                self.finish(error.get_error_message() or str(error))
                return
            sent = 0 if sent == _AGAIN else sent
            pause = max(sent / BYTES_PER_SECOND, 0.0 if sent else 0.02)
            with self._typed:
                del self._unsent[:sent]

    def _on_event(self, _stream: Any, events: int, _opaque: object) -> None:
        try:
            self._receive(broken=bool(events & _BROKEN))
        except Exception:  # an exception here would be printed by libvirt's C code and lost
            log.exception("a serial line's data could not be handled")

    def _receive(self, *, broken: bool) -> None:
        while self._ended is None:
            try:
                data = self._stream.recv(READ_AT_ONCE)
            except libvirt.libvirtError as error:
                self.finish(error.get_error_message() or str(error))
                return
            if data == _AGAIN:
                if broken:
                    self.finish("")
                return
            if not data:
                self.finish("", abort=False)
                return
            with self._lock:
                if self._data is not None:
                    self._data(data)
                else:
                    self._before = (self._before + data)[-MAX_UNSENT:]

    def finish(self, reason: str, *, abort: bool = True) -> None:
        """End it for a reason of the caller's. The first reason counts."""
        with self._lock:
            if self._ended is not None:
                return
            self._ended = reason
            callback, self._end, self._data = self._end, None, None
        giving_back = threading.Thread(target=self._give_back, args=(abort,), name=f"end-{self._name}", daemon=True)
        giving_back.start()
        with self._typed:
            self._typed.notify_all()
        if callback is not None:
            callback(reason)
        if not eventloop.on_event_thread():
            giving_back.join(CLOSE_SECONDS)  # so that the line is free for whoever opens it next

    def _give_back(self, abort: bool) -> None:
        """Tell the host; waits for its answer, for as long as a hung host's connection lasts."""
        with suppress(libvirt.libvirtError):
            self._stream.eventRemoveCallback()
        with suppress(libvirt.libvirtError):
            if abort:
                self._stream.abort()
            else:
                self._stream.finish()


def open_console(connection: Connection, uuid: str, *, device: str = "", force: bool = False) -> ConsoleStream:
    """Open a guest's serial line (virDomainOpenConsole). `device` is an alias such as "serial0"; "" is the first one.

    Give each line a connection of its own (see the module). One stream per line: a second open fails with "in_use"
    unless `force` ends the first. Raises VirtError: not_found, state (the guest is off), invalid (no such line), in_use.
    """
    flags = libvirt.VIR_DOMAIN_CONSOLE_FORCE if force else libvirt.VIR_DOMAIN_CONSOLE_SAFE
    with virt_errors():
        domain = connection.conn.lookupByUUIDString(uuid)
        stream = connection.conn.newStream(libvirt.VIR_STREAM_NONBLOCK)
        domain.openConsole(device or None, stream, flags)
        console = ConsoleStream(stream, domain.name())
    connection.on_close(console.finish)  # libvirt says nothing on the streams of a connection that dies
    return console
