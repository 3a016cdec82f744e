"""A guest's serial line as a stream of bytes: told on the event thread, written without ever blocking."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import libvirt

from dashboard.virt import eventloop
from dashboard.virt.errors import VirtError, virt_errors

log = logging.getLogger(__name__)

CHUNK = 65536
MAX_UNSENT = 1024 * 1024
"""Bytes that may wait for a guest that does not read its serial line."""
_READ = libvirt.VIR_STREAM_EVENT_READABLE
_WRITE = libvirt.VIR_STREAM_EVENT_WRITABLE
_BROKEN = libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP
_AGAIN = -2


class ConsoleStream:
    """An open serial line. Callbacks run on libvirt's event thread: quick, and without calls of libvirt."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._unsent = bytearray()
        self._before = bytearray()
        """What came before anybody listened."""
        self._data: Callable[[bytes], None] | None = None
        self._end: Callable[[str], None] | None = None
        self._ended: str | None = None
        stream.eventAddCallback(_READ | _BROKEN, self._on_event, None)

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
        return self._ended is not None

    def write(self, data: bytes) -> None:
        """Send bytes to the guest, later where it cannot take them now.

        Raises VirtError: state (the line has ended), busy (the guest has not read for a megabyte).
        """
        with self._lock:
            if self._ended is not None:
                raise VirtError("state", "the serial line has ended")
            if len(self._unsent) + len(data) > MAX_UNSENT:
                raise VirtError("busy", "the guest does not read its serial line")
            self._unsent += data
            self._send()

    def close(self) -> None:
        """End it. The guest does not notice."""
        self._finish("closed", abort=True)

    def _send(self) -> None:
        try:
            while self._unsent:
                sent = self._stream.send(bytes(self._unsent[:CHUNK]))
                if sent == _AGAIN:
                    break
                del self._unsent[:sent]
            self._stream.eventUpdateCallback(_READ | _BROKEN | (_WRITE if self._unsent else 0))
        except libvirt.libvirtError as error:
            self._finish(error.get_error_message() or str(error), abort=True)

    def _on_event(self, _stream: Any, events: int, _opaque: object) -> None:
        try:
            with self._lock:
                if self._ended is not None:
                    return
                if events & (_READ | _BROKEN):
                    self._receive(broken=bool(events & _BROKEN))
                if events & _WRITE and self._ended is None:
                    self._send()
        except Exception:  # an exception here would be printed by libvirt's C code and lost
            log.exception("a serial line's data could not be handled")

    def _receive(self, *, broken: bool) -> None:
        try:
            while True:
                data = self._stream.recv(CHUNK)
                if data == _AGAIN:
                    if broken:
                        self._finish("", abort=True)
                    return
                if not data:
                    self._finish("", abort=False)
                    return
                if self._data is not None:
                    self._data(data)
                else:
                    self._before = (self._before + data)[-MAX_UNSENT:]
        except libvirt.libvirtError as error:
            self._finish(error.get_error_message() or str(error), abort=True)

    def _finish(self, reason: str, *, abort: bool) -> None:
        with self._lock:
            if self._ended is not None:
                return
            self._ended = reason
            with suppress(libvirt.libvirtError):
                self._stream.eventRemoveCallback()
            self._give_back(abort)
            callback, self._end, self._data = self._end, None, None
        if callback is not None:
            callback(reason)

    def _give_back(self, abort: bool) -> None:
        """Tell the host. It waits for an answer, which the event thread may not do."""

        def tell() -> None:
            with suppress(libvirt.libvirtError):
                if abort:
                    self._stream.abort()
                else:
                    self._stream.finish()

        if eventloop.on_event_thread():
            threading.Thread(target=tell, name="end-console", daemon=True).start()
        else:
            tell()


def open_console(conn: Any, uuid: str, *, device: str = "", force: bool = False) -> ConsoleStream:
    """Open a guest's serial line (virDomainOpenConsole). `device` is an alias such as "serial0"; "" is the first one.

    One stream per line: a second open fails with "busy" unless `force` ends the first. The stream lives as long as its
    connection. Raises VirtError: not_found, state (the guest is off), unsupported (it has no such line), busy.
    """
    flags = libvirt.VIR_DOMAIN_CONSOLE_FORCE if force else libvirt.VIR_DOMAIN_CONSOLE_SAFE
    with virt_errors():
        domain = conn.lookupByUUIDString(uuid)
        stream = conn.newStream(libvirt.VIR_STREAM_NONBLOCK)
        domain.openConsole(device or None, stream, flags)
        return ConsoleStream(stream)
