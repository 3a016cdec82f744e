"""Serial lines in the asyncio process: one libvirt stream per guest, many who watch, one who writes, and a memory."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from dashboard.consoles.refusals import GONE, NO_SERIAL, OFF, RESTART, UNREACHABLE, Why
from dashboard.consoles.source import Source
from dashboard.virt.errors import VirtError
from dashboard.virt.streams import ConsoleStream

log = logging.getLogger(__name__)

SCROLLBACK = 256 * 1024
MOST_PENDING = 256 * 1024
"""Bytes from libvirt that wait for the loop; a guest that floods loses its oldest."""
MOST_QUEUED = 512 * 1024
"""Bytes that wait for one watcher; one that is slower gets the scrollback again instead."""
RETRY_SECONDS = (0.3, 5.0)
LINGER_SECONDS = 5.0
"""How long a line without watchers stays open: a reloaded page keeps its scrollback."""

TAKEN = "taken"
"""Another program, such as `virsh console`, has the line."""
REASONS = {"not_found": GONE, "state": OFF, "invalid": NO_SERIAL, "unsupported": NO_SERIAL}


@dataclass(eq=False)
class Watcher:
    """One browser at a line. `outbox` holds what it has not been sent yet: bytes, or text for control messages."""

    name: str
    may_write: bool
    outbox: deque[bytes | str] = field(default_factory=deque)
    queued: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    why: Why | None = None

    def put(self, item: bytes | str) -> bool:
        """Queue something; False when it is too far behind."""
        if self.queued > MOST_QUEUED:
            return False
        self.outbox.append(item)
        self.queued += len(item)
        self.wake.set()
        return True

    def end(self, why: Why) -> None:
        """Ask its connection to close."""
        self.why = why
        self.ended.set()
        self.wake.set()


class Line:
    """One guest's serial line. All methods run on the event loop, except those that libvirt's thread calls."""

    def __init__(self, source: Source, forget: Callable[[], None]) -> None:
        self._source, self._forget = source, forget
        self._loop = asyncio.get_running_loop()
        self._stream: ConsoleStream | None = None
        self._scrollback = bytearray()
        self._watchers: list[Watcher] = []
        self._writer: Watcher | None = None
        self._status = "connecting"
        self._lock = threading.Lock()
        self._pending = bytearray()
        self._ended = asyncio.Event()
        self._wake = asyncio.Event()
        self._force = False
        # A thread of its own: lines of a host that does not answer would take all of the loop's few threads, and with them
        # everybody's admission and the look at everybody's rights.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="line")
        self._task = asyncio.create_task(self._keep_open())

    # Watchers

    def join(self, watcher: Watcher) -> None:
        """Show a newcomer what was said before; the first who may write does."""
        self._watchers.append(watcher)
        self._replay(watcher)
        if watcher.may_write and self._writer is None:
            self._writer = watcher
        self._tell()

    def leave(self, watcher: Watcher) -> None:
        """Someone goes; nobody inherits the keyboard without asking for it."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)
        if self._writer is watcher:
            self._writer = None
        self._tell()
        if not self._watchers:
            self._loop.call_later(LINGER_SECONDS, self._close_if_empty)

    def take_over(self, watcher: Watcher) -> None:
        """Write from now on."""
        if watcher.may_write and watcher in self._watchers:
            self._writer = watcher
            self._tell()

    def write(self, watcher: Watcher, data: bytes) -> None:
        """Bytes typed by a watcher; those of anybody but the writer go nowhere."""
        stream = self._stream
        if watcher is not self._writer or stream is None or not data:
            return
        try:
            stream.write(data)  # only queues: libvirt's own thread sends at a serial line's pace
        except VirtError as error:
            log.info("serial line: cannot write: %s", error)

    def retry_now(self, watcher: Watcher, *, force: bool = False) -> None:
        """Try at once: the guest may run again, or the line is to be taken from another program."""
        self._force = force and watcher.may_write
        self._wake.set()

    def _replay(self, watcher: Watcher) -> None:
        watcher.outbox.clear()
        watcher.queued = 0
        watcher.put(json.dumps({"replay": len(self._scrollback)}))
        if self._scrollback:
            watcher.put(bytes(self._scrollback))

    def _tell(self) -> None:
        for watcher in self._watchers:
            watcher.put(json.dumps(self._picture(watcher)))

    def _picture(self, watcher: Watcher) -> dict[str, Any]:
        return {
            "status": self._status,
            "writer": self._writer.name if self._writer else None,
            "you": watcher is self._writer,
            "may_write": watcher.may_write,
            "watchers": len(self._watchers),
        }

    # The stream

    async def _keep_open(self) -> None:
        wait = RETRY_SECONDS[0]
        while True:
            try:
                stream = await self._loop.run_in_executor(self._thread, self._open)
            except VirtError as error:
                self._set_status(_word(error))
                await self._pause(wait)
                wait = min(wait * 2, RETRY_SECONDS[1])
                continue
            wait = RETRY_SECONDS[0]
            self._stream = stream
            self._ended.clear()
            stream.on_end(self._on_end)
            stream.on_data(self._on_data)
            self._set_status("connected")
            await self._ended.wait()
            self._stream = None
            await self._loop.run_in_executor(self._thread, stream.close)
            self._set_status("ended")
            await self._pause(wait)

    def _open(self) -> ConsoleStream:
        """On a thread."""
        force, self._force = self._force, False
        return self._source.open(force=force)

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), seconds * (0.5 + random.random() / 2))  # noqa: S311
        except TimeoutError:
            return

    def _set_status(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self._tell()

    def _on_end(self, *_: object) -> None:
        """On libvirt's thread."""
        self._loop.call_soon_threadsafe(self._ended.set)

    def _on_data(self, data: bytes) -> None:
        """On libvirt's thread: keep it short, wake the loop once for any number of pieces."""
        with self._lock:
            waiting = bool(self._pending)
            self._pending += data
            if len(self._pending) > MOST_PENDING:
                del self._pending[:-MOST_PENDING]
        if not waiting:
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            data = bytes(self._pending)
            self._pending.clear()
        self._scrollback += data
        if len(self._scrollback) > SCROLLBACK:
            cut = self._scrollback.find(b"\n", len(self._scrollback) - SCROLLBACK) + 1
            del self._scrollback[: cut or len(self._scrollback) - SCROLLBACK]
        for watcher in self._watchers:
            if not watcher.put(data):
                self._replay(watcher)
                watcher.put(json.dumps(self._picture(watcher)))

    def _close_if_empty(self) -> None:
        if not self._watchers:
            self._forget()
            self.close()

    def close(self) -> None:
        """End the stream and everybody at it."""
        self._task.cancel()
        self._thread.shutdown(wait=False)
        for watcher in self._watchers:
            watcher.end(RESTART)
        self._stream = None
        threading.Thread(target=self._source.close, name="close-line", daemon=True).start()


def _word(error: VirtError) -> str:
    """The status that a failure to open means."""
    return TAKEN if error.code == "in_use" else REASONS.get(error.code, UNREACHABLE).word
