"""How long a change on a host takes to an open page, beside a bare libvirt callback in this process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from dashboard.virt import power
from dashboard.virt.connection import open_connection
from dashboard.virt.events import subscribe
from dashboard.virt.facts import Event
from tests.integration.inventory.mirror import Mirror
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost

ROUNDS = 60


def test_a_change_is_on_the_page_soon_after_libvirt_tells_it(
    mirror: Mirror, lab_host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    guest = make_guest(lab_host, "quick", start=True)
    mirror.web()
    mirror.monitor()
    mirror.live(mirror.add(lab_host))
    mirror.guest(guest.uuid, state="running")
    page = mirror.open()
    told: list[float] = []

    def hear(event: Event) -> None:
        if event.detail.get("lifecycle") in ("suspended", "resumed"):
            told.append(time.perf_counter())

    connection = open_connection(lab_host.spec())
    subscribe(connection, hear)
    after_callback, after_call = [], []
    for number in range(ROUNDS):
        act, state = (power.suspend, "paused") if number % 2 == 0 else (power.resume, "running")
        told.clear()
        begun = time.perf_counter()
        act(connection.conn, guest.uuid)
        page.hears_guest("quick", state=state)
        arrived = time.perf_counter()
        mirror.until(lambda: told, 2, "the bare callback came")
        after_callback.append(arrived - told[0])
        after_call.append(arrived - begun)
        time.sleep(0.4)
    connection.close()
    for name, values in (("libvirt's callback → page", after_callback), ("call → page", after_call)):
        ordered = sorted(values)
        print(
            f"{name}: p50 {statistics.median(ordered) * 1000:.1f} ms, p99 {ordered[int(ROUNDS * 0.99)] * 1000:.1f} ms"
        )
    assert statistics.median(after_call) < 0.1
