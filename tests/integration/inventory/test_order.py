"""A picture that is older than an event never wins over it, and libvirtd that comes back has its callbacks once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from dashboard.inventory import session as sessions
from dashboard.inventory.credentials import spec_for
from dashboard.inventory.models import Guest
from dashboard.inventory.session import Session
from dashboard.virt import guests
from tests.integration.inventory.mirror import Mirror
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost

Make = Callable[..., LabGuest]


@pytest.mark.parametrize("first", [True, False])
def test_a_full_picture_taken_before_an_event_does_not_undo_it(
    mirror: Mirror, lab_host: LabHost, make_guest: Make, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """The guest is paused after libvirt was asked for all guests and before the answer is applied."""
    guest = make_guest(lab_host, "ordered", start=True)
    host = mirror.add(lab_host)
    real, looks = guests.read_guests, []

    def old_picture(conn: Any) -> Any:
        told = real(conn)
        looks.append(len(looks))
        if len(looks) == (1 if first else 2):
            guest.virsh("suspend")
            time.sleep(0.5)  # its event is in the inbox by now
        return told

    monkeypatch.setattr(guests, "read_guests", old_picture)
    stop = threading.Event()
    session = Session(host, spec_for(host), stop.is_set)
    thread = threading.Thread(target=session.run, daemon=True)
    thread.start()
    try:
        mirror.until(lambda: session.live, 20, "it is live")
        if not first:
            mirror.guest(guest.uuid, state="running")
            session.ask("all", "")
        mirror.guest(guest.uuid, 5, state="paused")
        time.sleep(1.5)
        assert Guest.objects.get(uuid=guest.uuid).state == "paused"
        assert len(looks) == (1 if first else 2)
    finally:
        stop.set()
        session.ask("stop", "")
        thread.join(10)
    assert sessions.COMPARE_SECONDS > 60, "no later comparison has mended it"


def test_after_restarts_of_libvirtd_a_change_is_told_once_and_gaps_are_found_within_five_seconds(
    mirror: Mirror, lab_host: LabHost, make_guest: Make
) -> None:
    guest, changed = make_guest(lab_host, "once", start=True), make_guest(lab_host, "gap", start=True)
    mirror.web()
    mirror.monitor()
    host = mirror.live(mirror.add(lab_host))
    page = mirror.open()
    for number in range(3):
        lab_host.kill_libvirtd()
        mirror.status(host, "down")
        begun = time.monotonic()
        lab_host.start_libvirtd()
        changed.virsh("suspend" if number % 2 == 0 else "resume")
        mirror.live(host)
        mirror.guest(changed.uuid, state="paused" if number % 2 == 0 else "running")
        took = time.monotonic() - begun
        print(f"right again {took:.1f} s after libvirtd began to start")
        assert took < 5
    time.sleep(2)  # the news of its return has been told
    while True:
        try:
            page.hears(lambda one: True, 0.5)
        except AssertionError:
            break
    page.said.clear()
    guest.virsh("suspend")
    page.hears_guest("once", state="paused")
    with pytest.raises(AssertionError):
        page.hears_guest("once", 2, state="paused")
