"""The serial line of a real guest: a tiny Linux that answers what is typed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from dashboard.virt.connection import Connection, open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.streams import ConsoleStream, open_console
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost, wait_for


@pytest.fixture
def connection(lab_host: LabHost) -> Iterator[Connection]:
    connection = open_connection(lab_host.spec())
    yield connection
    connection.close()


def listen(stream: ConsoleStream) -> tuple[bytearray, list[str]]:
    """All that the line says from now on, and how it ends."""
    said, ends = bytearray(), list[str]()
    stream.on_data(said.extend)
    stream.on_end(ends.append)
    return said, ends


def test_what_is_typed_is_answered(connection: Connection, tiny_guest: LabGuest) -> None:
    stream = open_console(connection, tiny_guest.uuid)
    said, ends = listen(stream)
    stream.write(b"echo $((6 * 7))-answer\n")
    wait_for(lambda: b"42-answer" in said, seconds=15, saying="the shell's answer")
    stream.close()
    assert ends == ["closed"]
    assert stream.ended
    with pytest.raises(VirtError) as raised:
        stream.write(b"x")
    assert raised.value.code == "state"


def test_large_output_comes_whole(connection: Connection, tiny_guest: LabGuest) -> None:
    stream = open_console(connection, tiny_guest.uuid)
    said, _ = listen(stream)
    stream.write(b"seq 1 3000; echo e''nd\n")
    wait_for(lambda: b"end\r\n" in said, seconds=60, saying="the last line")
    stream.close()
    for number in (1, 1500, 3000):
        assert b"\r\n%d\r\n" % number in said


def test_a_line_has_one_user_unless_forced(connection: Connection, tiny_guest: LabGuest) -> None:
    first = open_console(connection, tiny_guest.uuid, device="serial0")
    _, ends = listen(first)
    with pytest.raises(VirtError) as raised:
        open_console(connection, tiny_guest.uuid, device="serial0")
    assert raised.value.code == "in_use"
    second = open_console(connection, tiny_guest.uuid, device="serial0", force=True)
    wait_for(lambda: ends, seconds=5, saying="the first user is told")
    said, _ = listen(second)
    second.write(b"echo th''ere\n")
    wait_for(lambda: b"there" in said, seconds=15)
    second.close()


def test_a_guest_without_such_a_line_is_told_apart(connection: Connection, tiny_guest: LabGuest) -> None:
    with pytest.raises(VirtError):
        open_console(connection, tiny_guest.uuid, device="serial9")


def test_a_guest_that_is_off_has_no_line(
    connection: Connection, lab_host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    guest = make_guest(lab_host, "off")
    with pytest.raises(VirtError) as raised:
        open_console(connection, guest.uuid)
    assert raised.value.code == "state"
    with pytest.raises(VirtError) as raised:
        open_console(connection, "00000000-0000-4000-8000-000000000000")
    assert raised.value.code == "not_found"


def test_a_guest_that_does_not_read_holds_up_nobody_else(
    connection: Connection, lab_host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    deaf = make_guest(lab_host, "deaf", start=True)  # the idle guest never reads its serial line
    other = open_connection(lab_host.spec("tcp"))
    stream = open_console(connection, deaf.uuid)
    said, ends = listen(stream)
    started = time.monotonic()
    with pytest.raises(VirtError) as raised:
        for _ in range(64):
            stream.write(b"x" * 65536)
    assert raised.value.code == "busy"
    assert time.monotonic() - started < 1
    time.sleep(12)  # longer than the host takes more than it can pass on
    before = len(said)
    wait_for(lambda: len(said) > before, seconds=5, saying="the event thread still hands on what guests say")
    assert other.conn.getHostname() == "h1.lab"
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 3
    assert ends == ["closed"]
    other.close()


def test_the_line_ends_with_its_guest(
    connection: Connection, lab_host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    guest = make_guest(lab_host, "mortal", start=True)
    stream = open_console(connection, guest.uuid)
    said, ends = listen(stream)
    wait_for(lambda: b"LAB IDLE" in said, seconds=15, saying="the guest counts")
    guest.virsh("destroy")
    wait_for(lambda: ends, seconds=5, saying="the end is told")
    assert stream.ended


def test_the_line_ends_with_its_host(lab_host: LabHost, make_guest: Callable[..., LabGuest]) -> None:
    guest = make_guest(lab_host, "stranded", start=True)
    connection = open_connection(lab_host.spec("tcp"))
    stream = open_console(connection, guest.uuid)
    _, ends = listen(stream)
    try:
        lab_host.kill_libvirtd()
        wait_for(lambda: ends, seconds=5, saying="the end is told")
    finally:
        lab_host.start_libvirtd()
        connection.close()
