"""Other people's processes at libvirt: `act SOCKET` changes guests when told, `listen SOCKET` hears bare lifecycle events.

Neither knows anything of kvmweb: plain libvirt-python with libvirt's own event loop.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import libvirt

from tests.bench.measure import answer

WORDS = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: "started",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "suspended",
    libvirt.VIR_DOMAIN_EVENT_RESUMED: "resumed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
}
PATIENCE = 30.0


def act(conn: Any) -> None:
    """[call, uuid]: make the call (suspend, resume, create, destroy); answers when it began and ended."""
    domains: dict[str, Any] = {}
    for line in sys.stdin:
        call, uuid = json.loads(line)
        domain = domains.setdefault(uuid, conn.lookupByUUIDString(uuid))
        began = time.time()
        getattr(domain, call)()
        answer([began, time.time()])


class Listener:
    """Every lifecycle event with the time at which its callback ran."""

    def __init__(self, conn: Any) -> None:
        self._heard: list[tuple[str, str, float]] = []
        self._news = threading.Condition()
        conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._hear, None)

    def _hear(self, _conn: Any, domain: Any, event: int, _detail: int, _opaque: object) -> None:
        at = time.time()
        with self._news:
            self._heard.append((domain.UUIDString(), WORDS.get(event, ""), at))
            self._news.notify_all()

    def wait(self, uuid: str, lifecycle: str, since: float) -> float:
        """When it was heard, at or after `since`."""

        def found() -> float:
            return next((at for who, what, at in self._heard if who == uuid and what == lifecycle and at >= since), 0.0)

        with self._news:
            self._news.wait_for(found, PATIENCE)
            return found()


def listen(conn: Any) -> None:
    """["wait", uuid, lifecycle, since] → the callback's time."""
    listener = Listener(conn)
    for line in sys.stdin:
        _, uuid, lifecycle, since = json.loads(line)
        answer(listener.wait(uuid, lifecycle, since))


def _loop() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def main() -> None:
    """Connect, say so, serve."""
    what, socket = sys.argv[1:]
    libvirt.virEventRegisterDefaultImpl()
    libvirt.virEventAddTimeout(1000, lambda *_: None, None)
    threading.Thread(target=_loop, daemon=True).start()
    conn = libvirt.open(f"qemu+unix:///system?socket={socket}")
    answer("ready")
    act(conn) if what == "act" else listen(conn)


if __name__ == "__main__":
    main()
