"""What others do with virsh arrives as events, quickly and completely."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dashboard.virt import events
from dashboard.virt.connection import Connection, open_connection
from dashboard.virt.facts import Event
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost, wait_for


@pytest.fixture
def heard(lab_host: LabHost) -> Iterator[tuple[Connection, list[Event]]]:
    """A connection and all that it hears."""
    connection, told = open_connection(lab_host.spec()), list[Event]()
    events.subscribe(connection, told.append)
    yield connection, told
    connection.close()


def wait(told: list[Event], kind: str, **facts: object) -> Event:
    """The first event of this kind with these facts."""

    def find() -> Event | None:
        return next(
            (one for one in told if one.kind == kind and facts.items() <= ({"name": one.name} | one.detail).items()),
            None,
        )

    event: Event = wait_for(find, seconds=5, every=0.005, saying=f"{kind} {facts} among {told}")
    return event


def test_a_guests_life_is_told(
    lab_host: LabHost, heard: tuple[Connection, list[Event]], make_guest: Callable[..., LabGuest]
) -> None:
    _, told = heard
    guest = make_guest(lab_host, "told")
    assert wait(told, "guest", lifecycle="defined", reason="added").uuid == guest.uuid
    guest.virsh("start")
    wait(told, "guest", lifecycle="started", reason="booted")
    before = time.time()
    guest.virsh("suspend")
    assert 0 <= wait(told, "guest", lifecycle="suspended", reason="paused").at - before < 1
    guest.virsh("resume")
    wait(told, "guest", lifecycle="resumed")
    guest.virsh("desc", "--title", "--new-desc", "A title")
    wait(told, "guest", what="metadata")
    guest.virsh("reset")
    wait(told, "guest", what="reboot")
    guest.virsh("undefine")
    gone_while_running = wait(told, "guest", lifecycle="undefined")
    assert gone_while_running.uuid == guest.uuid
    assert not [one for one in told if one.kind == "guest-gone"]
    guest.virsh("destroy")
    wait(told, "guest", lifecycle="stopped", reason="destroyed")


def test_renaming_is_no_disappearance_but_undefining_is(
    lab_host: LabHost, heard: tuple[Connection, list[Event]], make_guest: Callable[..., LabGuest]
) -> None:
    _, told = heard
    guest = make_guest(lab_host, "before")
    guest.virsh("domrename", "after")
    assert wait(told, "guest", lifecycle="defined", reason="renamed").name == "after"
    assert not [one for one in told if one.kind == "guest-gone"]
    lab_host.virsh("undefine", "after")
    assert wait(told, "guest-gone").uuid == guest.uuid


def test_devices_that_come_and_go_are_told(
    lab_host: LabHost, heard: tuple[Connection, list[Event]], make_guest: Callable[..., LabGuest], idle_image: Path
) -> None:
    _, told = heard
    guest = make_guest(lab_host, "devices", start=True)
    path = lab_host.put(idle_image, "second.raw")
    guest.virsh("attach-disk", path, "vdb", "--driver", "qemu", "--subdriver", "raw", "--live")
    wait(told, "guest", what="device-added")


def test_pools_and_networks_are_told(lab_host: LabHost, heard: tuple[Connection, list[Event]]) -> None:
    _, told = heard
    lab_host.virsh("pool-create-as", "heard", "dir", "--target", "/var/lib/libvirt/heard", "--build")
    wait(told, "pool", lifecycle="started", name="heard")
    lab_host.virsh("pool-refresh", "heard")
    wait(told, "volumes", name="heard")
    lab_host.virsh("pool-destroy", "heard")
    wait(told, "pool", lifecycle="stopped", name="heard")
    try:
        lab_host.virsh("net-destroy", "default")
        wait(told, "network", lifecycle="stopped", name="default")
    finally:
        lab_host.virsh("net-start", "default")
    wait(told, "network", lifecycle="started", name="default")


def test_the_end_of_the_connection_is_the_last_event(lab_host: LabHost, heard: tuple[Connection, list[Event]]) -> None:
    connection, told = heard
    try:
        lab_host.kill_libvirtd()
        assert wait(told, "closed").detail["reason"] in ("error", "eof")
    finally:
        lab_host.start_libvirtd()
    connection.close()
    assert [one.kind for one in told].count("closed") == 1
    assert told[-1].kind == "closed"


def test_a_callback_that_fails_does_not_silence_the_next(
    lab_host: LabHost, heard: tuple[Connection, list[Event]], make_guest: Callable[..., LabGuest]
) -> None:
    connection, told = heard

    def fail(_event: Event) -> None:
        raise RuntimeError("a broken callback")

    events.subscribe(connection, fail)
    make_guest(lab_host, "unbroken")
    wait(told, "guest", name="unbroken")
    make_guest(lab_host, "unbroken2")
    wait(told, "guest", name="unbroken2")


def test_closing_leaves_no_client_on_the_host(lab_host: LabHost) -> None:
    """Event callbacks hold a reference; a connection that keeps them stays open for ever."""

    def clients() -> int:
        return len(
            [line for line in lab_host.exec("virt-admin", "client-list", "libvirtd").splitlines()[2:] if line.strip()]
        )

    before = clients()
    for _ in range(3):
        connection = open_connection(lab_host.spec())
        events.subscribe(connection, lambda _event: None)
        connection.close()
    wait_for(lambda: clients() <= before, seconds=5, saying=f"no more than {before} clients")
