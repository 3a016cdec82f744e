"""Reading guests of a real libvirt: in bulk, beside others who change them, and with the figures that QEMU tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dashboard.virt import change, guests, power
from dashboard.virt.errors import VirtError
from dashboard.virt.facts import GuestState
from dashboard.virt.pool import borrow
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost, wait_for

Make = Callable[..., LabGuest]


@pytest.fixture
def conn(lab_host: LabHost) -> Iterator[Any]:
    with borrow(lab_host.spec()) as conn:
        yield conn


class Counting:
    """A connection that counts the calls made on it and on its guests."""

    def __init__(self, real: Any, calls: list[str] | None = None) -> None:
        self._real = real
        self.calls: list[str] = [] if calls is None else calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not callable(found):
            return found

        def call(*args: Any) -> Any:
            self.calls.append(name)
            result = found(*args)
            return [Counting(item, self.calls) for item in result] if name == "listAllDomains" else result

        return call


def test_all_guests_read_at_once_are_the_same_as_read_one_by_one(
    conn: Any, lab_host: LabHost, make_guest: Make
) -> None:
    off, running, paused = (make_guest(lab_host) for _ in range(3))
    power.start(conn, running.uuid)
    power.start(conn, paused.uuid, paused=True)
    change.set_autostart(conn, off.uuid, True)
    change.set_tags(conn, running.uuid, ["a", "b"])
    found = {facts.uuid: facts for facts in guests.read_guests(conn)}
    for guest, state in ((off, GuestState.SHUTOFF), (running, GuestState.RUNNING), (paused, GuestState.PAUSED)):
        facts = found[guest.uuid]
        assert facts == guests.read_guest(conn, guest.uuid)
        assert (facts.name, facts.state, facts.persistent) == (guest.name, state, True)
    assert found[off.uuid].autostart
    assert found[running.uuid].tags == ("a", "b")
    assert found[running.uuid].facts["graphics"][0]["port"] >= 5900
    states = guests.read_states(conn)
    assert states[running.uuid] == (GuestState.RUNNING, "booted")
    assert states[paused.uuid][0] is GuestState.PAUSED


def test_reading_costs_a_constant_number_of_calls_and_one_for_each_new_guest(
    conn: Any, lab_host: LabHost, make_guest: Make
) -> None:
    made = [make_guest(lab_host, diskless=True) for _ in range(5)]
    counting = Counting(conn)
    first = guests.read_guests(counting)
    assert counting.calls.count("XMLDesc") == len(first) >= 5
    without = [name for name in counting.calls if name not in {"XMLDesc", "UUIDString", "name", "getURI"}]
    assert sorted(without) == ["getAllDomainStats"] + ["listAllDomains"] * 4
    again = Counting(conn)
    known = {facts.uuid: facts for facts in first}
    assert guests.read_guests(again, known) == first
    assert "XMLDesc" not in again.calls
    power.start(conn, made[0].uuid)
    third = Counting(conn)
    running = {facts.uuid: facts for facts in guests.read_guests(third, known)}[made[0].uuid]
    assert third.calls.count("XMLDesc") == 1
    assert running.facts["graphics"][0]["port"] >= 5900


def test_guests_that_come_and_go_meanwhile_are_no_error(lab_host: LabHost, make_guest: Make) -> None:
    xml = "<domain type='qemu'><name>flicker{0}</name><memory>8192</memory><os><type>hvm</type></os></domain>"
    stop = threading.Event()

    def flicker() -> None:
        with borrow(lab_host.spec(key="flicker")) as other:
            while not stop.is_set():
                for domain in [other.defineXML(xml.format(number)) for number in range(8)]:
                    domain.undefine()

    thread = threading.Thread(target=flicker)
    thread.start()
    try:
        with borrow(lab_host.spec()) as conn:
            until = time.monotonic() + 4
            while time.monotonic() < until:
                guests.read_guests(conn)
    finally:
        stop.set()
        thread.join()


def test_a_guest_started_on_this_machine_says_since_when(conn: Any, lab_host: LabHost, make_guest: Make) -> None:
    guest = make_guest(lab_host)
    assert guests.read_guest(conn, guest.uuid).started_at is None
    before = time.time()
    power.start(conn, guest.uuid)
    started = guests.read_guest(conn, guest.uuid).started_at
    assert started is not None
    assert before - 1 <= started <= time.time() + 1


def test_a_far_host_does_not_say_since_when(lab_host: LabHost, make_guest: Make) -> None:
    guest = make_guest(lab_host)
    with borrow(lab_host.spec("tcp")) as conn:
        power.start(conn, guest.uuid)
        facts = guests.read_guest(conn, guest.uuid)
    assert facts.started_at is None
    assert facts.state is GuestState.RUNNING


def test_counters_rise_while_a_guest_runs_and_are_gone_when_it_is_off(
    conn: Any, lab_host: LabHost, make_guest: Make
) -> None:
    guest = make_guest(lab_host, network="default")

    def mine() -> Any:
        return next((stats for stats in guests.read_stats(conn) if stats.uuid == guest.uuid), None)

    assert mine() is None
    power.start(conn, guest.uuid)
    first = wait_for(lambda: (stats := mine()) and stats.read_bytes and stats, saying="its boot sector is read")
    assert (first.state, first.vcpus, first.memory_kib) == (GuestState.RUNNING, 1, 32768)
    assert 0 < first.memory_used_kib <= first.memory_kib
    assert first.received_bytes is not None
    assert first.written_bytes == 0
    wait_for(lambda: mine().cpu_time_ns > first.cpu_time_ns, saying="it uses CPU")
    power.destroy(conn, guest.uuid)
    assert mine() is None


def test_a_running_guest_that_is_undefined_is_transient_and_vanishes_when_off(
    conn: Any, lab_host: LabHost, make_guest: Make
) -> None:
    guest = make_guest(lab_host)
    power.start(conn, guest.uuid)
    guest.virsh("undefine")
    facts = guests.read_guest(conn, guest.uuid)
    assert (facts.persistent, facts.autostart, facts.saved) == (False, False, False)
    assert next(facts for facts in guests.read_guests(conn) if facts.uuid == guest.uuid).persistent is False
    with pytest.raises(VirtError) as refused:
        power.save(conn, guest.uuid)
    assert refused.value.code == "unsupported"
    with pytest.raises(VirtError) as refused:
        change.set_autostart(conn, guest.uuid, True)
    assert refused.value.code == "state"
    change.set_title(conn, guest.uuid, "still here")
    assert guests.read_guest(conn, guest.uuid).title == "still here"
    power.destroy(conn, guest.uuid)
    power.destroy(conn, guest.uuid)
    with pytest.raises(VirtError) as refused:
        guests.read_guest(conn, guest.uuid)
    assert refused.value.code == "not_found"


def test_a_guest_on_a_network_without_an_agent_has_no_address_yet_and_that_is_no_error(
    conn: Any, lab_host: LabHost, make_guest: Make
) -> None:
    guest = make_guest(lab_host, network="default")
    power.start(conn, guest.uuid)
    assert guests.addresses(conn, guest.uuid) == []
