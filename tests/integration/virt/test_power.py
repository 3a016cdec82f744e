"""The power switch against a real libvirt and QEMU: each act once, twice, and where it does not fit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dashboard.virt import guests, power
from dashboard.virt.errors import VirtError
from dashboard.virt.facts import GuestState
from dashboard.virt.pool import borrow
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost, wait_for

Make = Callable[..., LabGuest]
GONE = "4c414200-1111-4000-8001-0000000000ff"


@pytest.fixture
def conn(lab_host: LabHost) -> Iterator[Any]:
    with borrow(lab_host.spec()) as conn:
        yield conn


@pytest.fixture
def guest(lab_host: LabHost, make_guest: Make) -> LabGuest:
    return make_guest(lab_host)


def refuses(code: str, call: Callable[..., object], *args: Any, **kwargs: Any) -> VirtError:
    with pytest.raises(VirtError) as refused:
        call(*args, **kwargs)
    assert refused.value.code == code
    return refused.value


def test_a_guest_goes_through_its_day_and_every_act_may_be_repeated(conn: Any, guest: LabGuest) -> None:
    day: list[tuple[Callable[..., None], dict[str, Any], GuestState, str]] = [
        (power.start, {}, GuestState.RUNNING, "booted"),
        (power.suspend, {}, GuestState.PAUSED, "user"),
        (power.resume, {}, GuestState.RUNNING, "unpaused"),
        (power.save, {}, GuestState.SHUTOFF, "saved"),
        (power.start, {}, GuestState.RUNNING, "restored"),
        (power.destroy, {}, GuestState.SHUTOFF, "destroyed"),
        (power.start, {"paused": True}, GuestState.PAUSED, ""),
        (power.destroy, {}, GuestState.SHUTOFF, "destroyed"),
    ]
    for act, options, state, reason in day:
        for _ in range(2):
            act(conn, guest.uuid, **options)
            now = power.state(conn, guest.uuid)
            assert now[0] is state
            assert reason in now[1]


def test_what_does_not_fit_the_state_is_refused_and_changes_nothing(conn: Any, guest: LabGuest) -> None:
    for act in (power.reboot, power.reset, power.suspend, power.resume, power.save, power.nmi):
        refuses("state", act, conn, guest.uuid)
    assert power.state(conn, guest.uuid)[0] is GuestState.SHUTOFF
    power.shutdown(conn, guest.uuid)  # off already
    power.start(conn, guest.uuid, paused=True)
    for act in (power.start, power.shutdown, power.reboot, power.nmi):
        assert "paused" in refuses("state", act, conn, guest.uuid).detail
    power.resume(conn, guest.uuid)
    refuses("state", power.start, conn, guest.uuid, paused=True)
    assert power.state(conn, guest.uuid)[0] is GuestState.RUNNING


def test_a_guest_that_does_not_exist_is_not_found_but_may_be_forced_off(conn: Any) -> None:
    for act in (power.state, power.start, power.shutdown, power.reset, power.save, power.discard_saved, power.progress):
        refuses("not_found", act, conn, GONE)
    power.destroy(conn, GONE)


def test_a_running_guest_can_be_reset_rebooted_interrupted_and_asked_to_shut_down(conn: Any, guest: LabGuest) -> None:
    power.start(conn, guest.uuid)
    power.reset(conn, guest.uuid)
    power.reboot(conn, guest.uuid, mode="acpi")
    power.nmi(conn, guest.uuid)
    power.shutdown(conn, guest.uuid, mode="acpi")  # it ignores the button
    assert power.state(conn, guest.uuid)[0] is GuestState.RUNNING
    refused = refuses("unsupported", power.shutdown, conn, guest.uuid, mode="agent")  # it has no channel at all
    assert "agent" in refused.detail


def test_a_saved_state_can_be_discarded_and_skipped(conn: Any, guest: LabGuest) -> None:
    power.start(conn, guest.uuid)
    power.save(conn, guest.uuid)
    assert guests.read_guest(conn, guest.uuid).saved
    power.discard_saved(conn, guest.uuid)
    power.discard_saved(conn, guest.uuid)
    assert not guests.read_guest(conn, guest.uuid).saved
    refuses("state", power.save, conn, guest.uuid)
    power.start(conn, guest.uuid)
    power.save(conn, guest.uuid)
    power.start(conn, guest.uuid, fresh=True)
    assert power.state(conn, guest.uuid) == (GuestState.RUNNING, "booted")
    assert not guests.read_guest(conn, guest.uuid).saved


def test_a_paused_guest_is_saved_and_comes_back_paused(conn: Any, guest: LabGuest) -> None:
    power.start(conn, guest.uuid, paused=True)
    power.save(conn, guest.uuid)
    power.start(conn, guest.uuid, paused=True)
    assert power.state(conn, guest.uuid)[0] is GuestState.PAUSED


def test_two_who_start_at_the_same_moment_both_succeed(lab_host: LabHost, guest: LabGuest) -> None:
    failed: list[Exception] = []

    def start() -> None:
        try:
            with borrow(lab_host.spec()) as conn:
                power.start(conn, guest.uuid)
        except VirtError as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_save_can_be_watched_and_cancelled(lab_host: LabHost, make_guest: Make) -> None:
    guest = make_guest(lab_host, memory_mib=512)
    guest.virsh("start")
    guest.virsh("migrate-setspeed", "1")
    caught: list[VirtError] = []

    def save() -> None:
        try:
            with borrow(lab_host.spec()) as conn:
                power.save(conn, guest.uuid)
        except VirtError as error:
            caught.append(error)

    saving = threading.Thread(target=save)
    with borrow(lab_host.spec(key="another")) as conn:
        assert power.progress(conn, guest.uuid) is None
        power.abort(conn, guest.uuid)  # nothing to end
        saving.start()
        told = wait_for(lambda: not saving.is_alive() or power.progress(conn, guest.uuid), seconds=20)
        if saving.is_alive():  # TCG guests have little to write: it may be over before it can be cancelled
            assert 0 < told <= 1
            power.abort(conn, guest.uuid)
        saving.join(30)
        state = power.state(conn, guest.uuid)[0]
    assert (state is GuestState.RUNNING and caught[0].code == "aborted") or (state is GuestState.SHUTOFF and not caught)


def test_a_guest_with_an_agent_shuts_down_by_it(conn: Any, tiny_guest: LabGuest) -> None:
    wait_for(lambda: guests.read_guest(conn, tiny_guest.uuid).facts["agent_connected"], seconds=60)
    address = wait_for(
        lambda: next((row for row in guests.addresses(conn, tiny_guest.uuid) if row["source"] == "agent"), None),
        seconds=60,
        every=1,
        saying="an address by its agent",
    )
    assert address["ip"].startswith("192.168.122.")
    assert address["prefix"] == 24
    assert address["mac"] == guests.read_guest(conn, tiny_guest.uuid).facts["nics"][0]["mac"]
    begun = time.monotonic()
    power.shutdown(conn, tiny_guest.uuid, mode="agent")
    wait_for(lambda: power.state(conn, tiny_guest.uuid)[0] is GuestState.SHUTOFF, seconds=60)
    assert guests.addresses(conn, tiny_guest.uuid) == []
    assert time.monotonic() - begun < 60
