"""Guests by the thousand, as big as real ones: their XML, and what the monitor reads from it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree
from lxml.builder import E

ROLES = ("web", "db", "build", "cache", "mail", "win", "lab", "proxy")


def identity(number: int) -> str:
    """The UUID of a guest."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"bench-{number}"))


def name(number: int) -> str:
    """What it is called."""
    return f"{ROLES[number % len(ROLES)]}-{number:05d}.example.org"


def domain(number: int, kind: str = "kvm") -> Any:
    """A q35 guest as libvirt tells it: two disks, a CD drive, two cards, an agent, spare PCIe ports; 6 KB of XML."""
    root = E.domain(
        E.name(name(number)), E.uuid(identity(number)), E.title(f"Service {number} of the {ROLES[number % 8]} tier"),
        E.description("Made by the benchmark; stands for a guest that somebody takes care of."),
        E.memory("4194304", unit="KiB"), E.currentMemory("4194304", unit="KiB"), E.vcpu("4", placement="static"),
        E.os(E.type("hvm", arch="x86_64", machine="pc-q35-7.2"), E.boot(dev="hd")),
        E.features(E.acpi(), E.apic()), E.cpu(mode="host-passthrough", check="none", migratable="on"),
        E.clock(E.timer(name="rtc", tickpolicy="catchup"), E.timer(name="hpet", present="no"), offset="utc"),
        E.on_poweroff("destroy"), E.on_reboot("restart"), E.on_crash("destroy"),
        type=kind,
    )  # fmt: skip
    devices = etree.SubElement(root, "devices")
    devices.append(E.emulator("/usr/bin/qemu-system-x86_64"))
    for index, target in enumerate(("vda", "vdb")):
        devices.append(E.disk(
            E.driver(name="qemu", type="qcow2", discard="unmap"), E.target(dev=target, bus="virtio"),
            E.source(file=f"/var/lib/libvirt/images/{name(number)}-{target}.qcow2", index=str(index + 1)),
            E.backingStore(), E.alias(name=f"virtio-disk{index}"), _slot(4 + index), type="file", device="disk",
        ))  # fmt: skip
    devices.append(E.disk(E.driver(name="qemu", type="raw"), E.target(dev="sda", bus="sata"), E.readonly(), type="file", device="cdrom"))  # fmt: skip
    devices.extend(
        E.controller(
            E.model(name="pcie-root-port"), E.target(chassis=str(port), port=hex(16 + port)), E.alias(name=f"pci.{port}"),
            _port(port), type="pci", index=str(port), model="pcie-root-port",
        )
        for port in range(1, 13)
    )  # fmt: skip
    for index in range(2):
        mac = f"52:54:{index:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        devices.append(E.interface(E.mac(address=mac), E.source(network="default"), E.model(type="virtio"), E.alias(name=f"net{index}"), _slot(1 + index), type="network"))  # fmt: skip
    devices.extend([
        E.serial(E.target(E.model(name="isa-serial"), type="isa-serial", port="0"), type="pty"),
        E.console(E.target(type="serial", port="0"), type="pty"),
        E.channel(E.target(type="virtio", name="org.qemu.guest_agent.0"), type="unix"),
        E.input(type="tablet", bus="usb"), E.graphics(E.listen(type="address", address="127.0.0.1"), type="vnc", port="-1", autoport="yes"),
        E.video(E.model(E.acceleration(accel3d="no"), type="virtio", heads="1", primary="yes")),
        E.memballoon(E.stats(period="5"), model="virtio"), E.rng(E.backend("/dev/urandom", model="random"), model="virtio"),
    ])  # fmt: skip
    return root


def _slot(number: int) -> Any:
    return E.address(type="pci", domain="0x0000", bus=f"0x{number:02x}", slot="0x00", function="0x0")


def _port(number: int) -> Any:
    return E.address(type="pci", domain="0x0000", bus="0x00", slot=f"0x{15 + number:02x}", function="0x0")


def xml(number: int, kind: str = "kvm") -> str:
    """The same as text."""
    return etree.tostring(domain(number, kind), encoding="unicode", pretty_print=True)


def node_file(path: Path, count: int, first: int = 0) -> None:
    """A host for libvirt's test driver, with that many guests; all of them run."""
    root = E.node()
    root.extend(domain(number, "test") for number in range(first, first + count))
    path.write_bytes(etree.tostring(root))


def facts(count: int) -> Iterator[Any]:
    """What the monitor would read from a host: two thirds run, some are paused, tagged or in trouble."""
    from dashboard.virt.facts import GuestFacts, GuestState
    from dashboard.virt.guests import facts_of
    from dashboard.virt.xml.domain import Domain

    some = random.Random(7)
    read = facts_of(Domain.parse(xml(0)))
    states = [GuestState.RUNNING] * 12 + [GuestState.PAUSED] + [GuestState.SHUTOFF] * 6 + [GuestState.CRASHED]
    for number in range(count):
        state = states[number % len(states)]
        yield GuestFacts(
            uuid=identity(number), name=name(number), state=state, reason="booted" if state == GuestState.RUNNING else "",
            persistent=True, autostart=number % 3 == 0, saved=False, title=f"Service {number}", description="",
            vcpus=4, vcpus_max=4, memory_kib=4194304, memory_max_kib=4194304,
            tags=tuple(some.sample(("prod", "test", "eu", "us", "backup", "pci"), number % 4)), xml=xml(number), facts=read,
            started_at=1_700_000_000.0 + number if state in (GuestState.RUNNING, GuestState.PAUSED) else None,
        )  # fmt: skip
