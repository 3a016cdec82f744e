"""The definition of a new guest: from a plain description to the XML that kvmweb gives to libvirt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from dashboard.virt.errors import VirtError
from dashboard.virt.xml.domain import AGENT_CHANNEL, Domain
from dashboard.virt.xml.parse import to_text
from dashboard.virt.xml.text import valid_description, valid_name, valid_tags, valid_title
from dashboard.virt.xml.view import add

SPARE_PORTS = 8
"""PCIe root ports left free for hot-plug: a q35 guest without one refuses every new device until it is off."""
TB_CACHE_MIB = 64
"""Translated code that an emulated guest may keep. QEMU's own limit is 1 GiB: with it a GRUB guest of 256 MiB grew to 1.1 GB,
while a small Linux boots in the same time with 64 MiB."""
_PREFIX = {"virtio": "vd", "sata": "sd", "scsi": "sd", "usb": "sd", "ide": "hd", "fdc": "fd"}
_MAC = re.compile(r"[0-9a-f][02468ace](?::[0-9a-f]{2}){5}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class NewDisk:
    """A disk of a new guest: an existing file or device at `path`, or the volume `volume` of pool `pool`."""

    format: str
    """"qcow2", "raw", …: always said, never guessed by QEMU from bytes that a guest may have written."""
    path: str = ""
    pool: str = ""
    volume: str = ""
    bus: str = "virtio"
    target: str = ""
    """"vda"; "" takes the bus's next free name."""
    block: bool = False
    """`path` is a block device."""


@dataclass(frozen=True)
class NewNic:
    """A network card of a new guest, on a libvirt network or, with kind "bridge", on a bridge of the host."""

    source: str
    mac: str
    """Chosen before the guest exists, so that doing it twice gives the same guest."""
    model: str = "virtio"
    kind: Literal["network", "bridge"] = "network"


@dataclass(frozen=True)
class NewGuest:
    """What a new guest is to be; the rest is kvmweb's choice of good defaults."""

    uuid: str
    name: str
    vcpus: int
    memory_kib: int
    virt: Literal["kvm", "qemu"]
    title: str = ""
    description: str = ""
    arch: str = "x86_64"
    machine: str = "q35"
    firmware: Literal["bios", "efi"] = "bios"
    cpu: str = ""
    """"host-passthrough", "host-model", "maximum"; "": host-passthrough with KVM, the hypervisor's default without."""
    disks: tuple[NewDisk, ...] = ()
    cdrom: str | None = None
    """Path of an ISO; "" for an empty drive, None for no drive."""
    nics: tuple[NewNic, ...] = ()
    boot: tuple[str, ...] = ()
    """"hd", "cdrom", "network" in order; (): disk, then CD-ROM: an empty disk falls through to the installer."""
    video: str = ""
    """"": virtio with KVM, VGA (which needs no driver) without."""
    tags: tuple[str, ...] = ()
    job: str = ""
    """The id of the job that makes it, kept in the metadata: undo recognises its own by it."""


def new_domain(spec: NewGuest) -> str:
    """The XML of a new guest. Raises VirtError "invalid" with a plain sentence where the description is no good."""
    try:
        _check(spec)
        root = etree.Element("domain", None, None, type=spec.virt)
        _identity(root, spec)
        _machine(root, spec)
        devices = add(root, "devices")
        _controllers(devices, spec)
        targets = _disks(devices, spec)
        _cdrom(devices, spec, targets)
        _nics(devices, spec)
        _comforts(devices, spec)
    except ValueError as error:
        raise VirtError("invalid", str(error)) from error
    return to_text(root)


def _check(spec: NewGuest) -> None:
    valid_name(spec.name)
    if not _UUID.fullmatch(spec.uuid):
        raise ValueError("The UUID is not one.")
    if spec.vcpus < 1 or spec.memory_kib < 1024:
        raise ValueError("A virtual machine has at least one vCPU and 1 MiB of memory.")
    for nic in spec.nics:
        if not _MAC.fullmatch(nic.mac):
            raise ValueError("A MAC address is six pairs of lower-case digits, and not a group address.")
    for disk in spec.disks:
        if bool(disk.path) == bool(disk.volume) or bool(disk.pool) != bool(disk.volume) or not disk.format:
            raise ValueError("A disk has a format, and either a path or a pool with a volume.")
        if disk.bus not in _PREFIX:
            raise ValueError("This disk bus is not known.")


def _identity(root: etree._Element, spec: NewGuest) -> None:
    view = Domain(root)
    view.name, view.uuid = spec.name, spec.uuid
    view.title, view.description = valid_title(spec.title), valid_description(spec.description)
    if spec.tags or spec.job:
        view.set_metadata(tags=valid_tags(spec.tags), job=spec.job)
    view.memory_kib = spec.memory_kib
    view.current_memory_kib = spec.memory_kib
    view.vcpus = spec.vcpus


def _machine(root: etree._Element, spec: NewGuest) -> None:
    view = Domain(root)
    os = add(root, "os")
    add(os, "type", "hvm", arch=spec.arch, machine=spec.machine)
    if spec.firmware == "efi":
        # libvirt chooses the loader. Without Secure Boot: it would refuse unsigned installers, and needs slow SMM.
        view.firmware_auto = "efi"
        add(add(os, "firmware"), "feature", enabled="no", name="secure-boot")
    view.boot = spec.boot or _boot(spec)
    features = add(root, "features")
    add(features, "acpi")
    add(features, "apic")
    if spec.virt == "kvm":
        add(features, "vmport", state="off")
    else:
        view.tb_cache_mib = TB_CACHE_MIB
    mode = spec.cpu or ("host-passthrough" if spec.virt == "kvm" else "")
    if mode:
        extra = {"migratable": "on"} if mode == "host-passthrough" else {}
        add(root, "cpu", mode=mode, check="none" if mode != "host-model" else "partial", **extra)
    clock = add(root, "clock", offset="utc")
    for name, settings in (
        ("rtc", {"tickpolicy": "catchup"}),
        ("pit", {"tickpolicy": "delay"}),
        ("hpet", {"present": "no"}),
    ):
        add(clock, "timer", name=name, **settings)
    view.on_poweroff, view.on_reboot, view.on_crash = "destroy", "restart", "destroy"
    power = add(root, "pm")
    add(power, "suspend-to-mem", enabled="no")
    add(power, "suspend-to-disk", enabled="no")


def _boot(spec: NewGuest) -> list[str]:
    devices = (["hd"] if spec.disks else []) + (["cdrom"] if spec.cdrom is not None else [])
    return devices or ["network" if spec.nics else "hd"]


def _controllers(devices: etree._Element, spec: NewGuest) -> None:
    if spec.machine == "q35" or "q35" in spec.machine:
        # libvirt would add one port for each device and one to spare; what stands here already is used first
        used = sum(disk.bus == "virtio" for disk in spec.disks) + sum(nic.model != "e1000" for nic in spec.nics)
        used += any(disk.bus == "scsi" for disk in spec.disks) + 4  # USB, virtio-serial, balloon, random numbers
        add(devices, "controller", type="pci", model="pcie-root")
        for _ in range(used + SPARE_PORTS):
            add(devices, "controller", type="pci", model="pcie-root-port")
    add(devices, "controller", type="usb", model="qemu-xhci", ports="15")
    add(devices, "controller", type="virtio-serial")
    if any(disk.bus == "scsi" for disk in spec.disks):
        add(devices, "controller", type="scsi", model="virtio-scsi")


def _disks(devices: etree._Element, spec: NewGuest) -> set[str]:
    targets = {disk.target for disk in spec.disks if disk.target}
    for disk in spec.disks:
        kind = "volume" if disk.volume else "block" if disk.block else "file"
        element = add(devices, "disk", type=kind, device="disk")
        add(element, "driver", name="qemu", type=disk.format, discard="unmap")
        if disk.volume:
            add(element, "source", pool=disk.pool, volume=disk.volume)
        else:
            add(element, "source", **{"dev" if disk.block else "file": disk.path})
        add(element, "target", dev=disk.target or _free(targets, disk.bus), bus=disk.bus)
    return targets


def _cdrom(devices: etree._Element, spec: NewGuest, targets: set[str]) -> None:
    if spec.cdrom is None:
        return
    bus = "sata" if "q35" in spec.machine else "ide"
    element = add(devices, "disk", type="file", device="cdrom")
    add(element, "driver", name="qemu", type="raw")
    if spec.cdrom:
        add(element, "source", file=spec.cdrom)
    add(element, "target", dev=_free(targets, bus), bus=bus)
    add(element, "readonly")


def _free(targets: set[str], bus: str) -> str:
    """The bus's next free name: vda, …, vdz, vdaa, …; it is taken with this."""
    for number in range(26 * 27):
        letters = (chr(ord("a") + number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)
        if (name := _PREFIX[bus] + letters) not in targets:
            targets.add(name)
            return name
    raise ValueError("This bus has no room for another disk.")


def _nics(devices: etree._Element, spec: NewGuest) -> None:
    for nic in spec.nics:
        element = add(devices, "interface", type=nic.kind)
        add(element, "mac", address=nic.mac)
        add(element, "source", **{nic.kind: nic.source})
        add(element, "model", type=nic.model)


def _comforts(devices: etree._Element, spec: NewGuest) -> None:
    """Serial console, agent channel, screen, tablet (the pointer follows the mouse), random numbers, memory figures."""
    add(devices, "serial", type="pty")
    add(add(devices, "console", type="pty"), "target", type="serial")
    channel = add(devices, "channel", type="unix")
    add(channel, "target", type="virtio", name=AGENT_CHANNEL)
    add(devices, "input", type="tablet", bus="usb")
    graphics = add(devices, "graphics", type="vnc", port="-1", autoport="yes")
    add(graphics, "listen", type="address", address="127.0.0.1")
    add(add(devices, "video"), "model", type=spec.video or ("virtio" if spec.virt == "kvm" else "vga"))
    add(add(devices, "memballoon", model="virtio"), "stats", period="5")
    add(add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
