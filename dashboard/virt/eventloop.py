"""libvirt's default event loop on one daemon thread of this process; never shared across a fork."""

from __future__ import annotations

import os
import threading
import time

import libvirt

from dashboard.virt.errors import VirtError

_lock = threading.Lock()
_pid: int | None = None


def ensure() -> None:
    """Start the event loop once. Must come before the first `open()`, or events and close callbacks never work.

    Raises VirtError in a process that was forked from one with a running loop: both would read the parent's sockets.
    """
    global _pid
    with _lock:
        if _pid == os.getpid():
            return
        if _pid is not None:
            raise VirtError(
                "internal", "this process was forked from one that uses libvirt; libvirt cannot be used in it"
            )
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_run, name="libvirt-events", daemon=True).start()
        _pid = os.getpid()


def _run() -> None:
    # An iteration sleeps until something happens; a timer keeps it from sleeping through a source added elsewhere.
    libvirt.virEventAddTimeout(1000, lambda _timer, _opaque: None, None)
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            time.sleep(0.1)  # one bad turn must not stop all events of this process, nor eat a processor


def on_event_thread() -> bool:
    """True in a callback of libvirt; nothing that waits for libvirt may be called there."""
    return threading.current_thread().name == "libvirt-events"
