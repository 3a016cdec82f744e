"""The real monitor with somebody beside it in its process who changes guests, and a bare process with the same connections.

A host of libvirt's test driver lives in the process that opened it: nobody outside can change its guests. What follows the
change is all the monitor's own: libvirt's event, its callback, the reading of the guest, the database, Redis.

python -m tests.bench.fleet_monitor monitor | bare NODE_FILE…
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from typing import Any

import django

from tests.bench.measure import answer


def main() -> None:
    """Say that it is there, then obey."""
    what, *files = sys.argv[1:]
    if what == "bare":
        bare(files)
        return
    django.setup()
    from dashboard.inventory.monitor import Monitor

    monitor = Monitor()
    signal.signal(signal.SIGTERM, lambda *_: monitor.stop())
    threading.Thread(target=obey, args=(monitor,), daemon=True).start()
    answer("ready")
    monitor.run()


def obey(monitor: Any) -> None:
    """[[call, host id, uuid], …]: make the calls (suspend, resume) one after another; answers when each began."""
    for line in sys.stdin:
        domains = [(call, domain_of(monitor, host, uuid)) for call, host, uuid in json.loads(line)]
        begun = []
        for call, domain in domains:
            begun.append(time.time())
            getattr(domain, call)()
        answer(begun)


def domain_of(monitor: Any, host: int, uuid: str) -> Any:
    """A guest on the connection that the monitor watches."""
    session = monitor._watches[host]._session
    return session.connection.conn.lookupByUUIDString(uuid)


def bare(files: list[str]) -> None:
    """The least: all connections open, and on any word one round of everybody's counters; answers its CPU seconds."""
    import libvirt

    connections = [libvirt.open(f"test://{path}") for path in files]
    answer("ready")
    for _ in sys.stdin:
        began = time.process_time()
        for conn in connections:
            conn.getAllDomainStats(0, 0)
        answer(time.process_time() - began)


if __name__ == "__main__":
    main()
