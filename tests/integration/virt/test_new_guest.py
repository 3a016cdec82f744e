"""Guests as kvmweb defines them, on a real libvirt and QEMU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dashboard.virt import change, guests, power
from dashboard.virt.facts import GuestState
from dashboard.virt.pool import borrow
from dashboard.virt.xml.create import SPARE_PORTS, NewDisk, NewGuest, NewNic, new_domain
from dashboard.virt.xml.domain import Domain
from tests.lab.guests import TinyImages
from tests.lab.hosts import LabHost, wait_for

UUID = "4c414200-1111-4000-8001-0000000000d1"
MAC = "52:54:00:4c:41:42"
NEW = NewGuest(
    uuid=UUID, name="fresh", vcpus=1, memory_kib=64 * 1024, virt="qemu", job="17", nics=(NewNic("default", MAC),)
)


@pytest.fixture
def conn(lab_host: LabHost) -> Iterator[Any]:
    with borrow(lab_host.spec()) as conn:
        yield conn
        power.destroy(conn, UUID)
        change.undefine(conn, UUID)


@pytest.mark.parametrize("machine", ["q35", "pc"])
@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_it_starts_on_either_machine_with_either_firmware(
    conn: Any, lab_host: LabHost, idle_image: Path, machine: str, firmware: Any
) -> None:
    path = lab_host.put(idle_image, "fresh.raw")
    disks = tuple(
        NewDisk("raw", path=lab_host.put(idle_image, f"fresh-{bus}.raw"), bus=bus) for bus in ("scsi", "sata", "usb")
    )
    spec = replace(NEW, machine=machine, firmware=firmware, disks=(NewDisk("raw", path=path), *disks), cdrom="")
    change.define(conn, new_domain(spec))
    power.start(conn, UUID)
    facts = guests.read_guest(conn, UUID)
    assert (facts.state, facts.facts["machine"], facts.facts["firmware"]) == (GuestState.RUNNING, machine, firmware)
    assert {disk["bus"] for disk in facts.facts["disks"]} >= {"virtio", "scsi", "sata", "usb"}
    assert facts.facts["graphics"][0]["listen"] == "127.0.0.1"
    assert facts.facts["graphics"][0]["port"] >= 5900


def test_devices_can_be_plugged_in_while_it_runs(conn: Any, lab_host: LabHost) -> None:
    change.define(conn, new_domain(NEW))
    before = Domain.parse(conn.lookupByUUIDString(UUID).XMLDesc(0))
    ports = {controller.index for controller in before.controllers if controller.model == "pcie-root-port"}
    power.start(conn, UUID, paused=True)
    for number in range(SPARE_PORTS):
        lab_host.virsh(
            "attach-interface",
            UUID,
            "network",
            "default",
            "--model",
            "virtio",
            "--live",
            "--mac",
            f"52:54:00:00:00:{number:02x}",
        )
    after = Domain.parse(conn.lookupByUUIDString(UUID).XMLDesc(0))
    assert len(after.nics) == 1 + SPARE_PORTS
    assert {controller.index for controller in after.controllers if controller.model == "pcie-root-port"} == ports


def test_a_small_linux_boots_soon_stays_small_and_tells_of_itself(
    conn: Any, lab_host: LabHost, tiny_images: TinyImages
) -> None:
    disk = NewDisk("qcow2", path=lab_host.put(tiny_images.disk, "fresh.qcow2"))
    change.define(conn, new_domain(replace(NEW, memory_kib=192 * 1024, disks=(disk,))))
    begun = time.monotonic()
    power.start(conn, UUID)
    wait_for(lambda: guests.read_guest(conn, UUID).facts["agent_connected"], seconds=90, every=0.25, saying="its agent")
    assert time.monotonic() - begun < 90
    wait_for(lambda: guests.addresses(conn, UUID), seconds=60, every=0.5, saying="its address")
    stats = next(stats for stats in guests.read_stats(conn) if stats.uuid == UUID)
    assert stats.memory_kib == 192 * 1024
    told = wait_for(lambda: _balloon(conn), seconds=30, every=0.5, saying="its balloon driver")
    assert told < 100 * 1024
    assert stats.received_bytes
    resident = conn.lookupByUUIDString(UUID).memoryStats()["rss"]
    assert resident < 192 * 1024 + 128 * 1024
    power.shutdown(conn, UUID, mode="acpi")
    wait_for(lambda: power.state(conn, UUID)[0] is GuestState.SHUTOFF, seconds=60, every=0.25, saying="ACPI shutdown")


def test_a_hung_qemu_delays_neither_lists_nor_states(conn: Any, lab_host: LabHost) -> None:
    change.define(conn, new_domain(NEW))
    power.start(conn, UUID)
    pid = lab_host.exec("cat", "/run/libvirt/qemu/fresh.pid").strip()
    lab_host.exec("kill", "-STOP", pid)
    try:
        begun = time.monotonic()
        assert guests.read_states(conn)[UUID][0] is GuestState.RUNNING
        assert UUID in {facts.uuid for facts in guests.read_guests(conn)}
        assert time.monotonic() - begun < 2
    finally:
        lab_host.exec("kill", "-CONT", pid)


def _balloon(conn: Any) -> int | None:
    """Memory used by the guest's own word, KiB."""
    told = conn.lookupByUUIDString(UUID).memoryStats()
    return told["available"] - told["usable"] if told.get("usable") else None
