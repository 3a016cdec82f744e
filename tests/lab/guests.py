"""Small guests for tests, emulated (TCG): the 512-byte idle one and a tiny Linux with a serial shell and an agent."""

from __future__ import annotations

import fcntl
import hashlib
import re
import uuid as uuids
from dataclasses import dataclass
from pathlib import Path

from lxml import etree
from lxml.builder import E

from tests.lab.hosts import HERE, LabHost, run, wait_for

CACHE = HERE.parent / ".cache"


@dataclass(frozen=True)
class TinyImages:
    """The tiny Linux: a bootable disk, and its kernel and initial RAM disk to start it faster (8 s)."""

    disk: Path
    kernel: Path
    initrd: Path


@dataclass(frozen=True)
class LabGuest:
    """A guest defined on a lab host, with `virsh` for the acts of others."""

    host: LabHost
    name: str
    uuid: str

    def virsh(self, command: str, *argv: str) -> str:
        """`virsh COMMAND NAME ARGV…`."""
        return self.host.virsh(command, self.name, *argv)

    @property
    def console_log(self) -> str:
        """All that its serial line has said."""
        path = self.host.dir / "var-log" / "qemu" / f"{self.name}.console"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for_line(self, pattern: str, seconds: float = 120) -> str:
        """Wait until the serial line has said something; the match."""
        found: re.Match[str] = wait_for(
            lambda: re.search(pattern, self.console_log), seconds=seconds, every=0.25, saying=f"{self.name}: {pattern}"
        )
        return found.group(0)

    def remove(self) -> None:
        """Force it off and undefine it; its disk stays in the host's image folder."""
        names = self.host.virsh("list", "--all", "--uuid").split()
        if self.uuid not in names:
            return
        if self.uuid in self.host.virsh("list", "--uuid").split():
            self.host.virsh("destroy", self.uuid)
        self.host.virsh("undefine", self.uuid, "--nvram", "--managed-save", "--snapshots-metadata")


def idle_image() -> Path:
    """The 4 MiB raw disk of the idle guest: counts seconds on screen and serial line, costs nothing."""
    return (
        cached("idle", ["build-idle.sh", "idle.S"], lambda folder: run(HERE / "build-idle.sh", folder / "idle.raw"))
        / "idle.raw"
    )


def tiny_images() -> TinyImages:
    """The tiny Linux, built from the distribution's packages once (about 15 s, 30 MB download) and kept in tests/.cache."""
    folder = cached("tiny", ["build-tiny.sh"], lambda folder: run(HERE / "build-tiny.sh", folder, timeout=600))
    return TinyImages(folder / "tiny.qcow2", folder / "vmlinuz", folder / "initrd.img")


def cached(name: str, sources: list[str], build: object) -> Path:
    """A folder in tests/.cache that `build(folder)` fills once for these versions of the sources."""
    digest = hashlib.sha256(b"".join((HERE / source).read_bytes() for source in sources)).hexdigest()[:12]
    folder = CACHE / f"{name}-{digest}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes, one builder
        if not (folder / "built").exists():
            folder.mkdir(exist_ok=True)
            assert callable(build)
            build(folder)
            (folder / "built").touch()
    return folder


def define(
    host: LabHost,
    name: str,
    *,
    image: Path | None = None,
    tiny: TinyImages | None = None,
    network: str = "",
    memory_mib: int = 0,
    display: bool = True,
    start: bool = False,
) -> LabGuest:
    """Define an emulated guest on a host: `image` as its disk, or the `tiny` Linux (kernel from outside, agent channel)."""
    uuid = str(uuids.uuid4())
    domain = E.domain(
        E.name(name), E.uuid(uuid), E.memory(str(memory_mib or (160 if tiny else 32)), unit="MiB"), E.vcpu("1"),
        type="qemu",
    )  # fmt: skip
    system = etree.SubElement(domain, "os")
    system.append(E.type("hvm", arch="x86_64", machine="q35" if tiny else "pc"))
    if tiny:
        system.extend([
            E.kernel(host.put(tiny.kernel)), E.initrd(host.put(tiny.initrd)),
            E.cmdline("console=tty0 console=ttyS0 quiet panic=5"),
        ])  # fmt: skip
    domain.append(E.features(E.acpi(), E.apic(), E.tcg(E("tb-cache", "64" if tiny else "16", unit="MiB"))))
    domain.append(
        _devices(host, name, image or (tiny.disk if tiny else None), network, agent=bool(tiny), display=display)
    )
    path = host.lab.dir / f"{name}.xml"
    path.write_bytes(etree.tostring(domain))
    host.virsh("define", str(path))
    guest = LabGuest(host, name, uuid)
    if start:
        guest.virsh("start")
    return guest


def _devices(
    host: LabHost, name: str, image: Path | None, network: str, *, agent: bool, display: bool
) -> etree._Element:
    devices = E.devices(
        E.controller(type="usb", model="none"),
        E.serial(E.log(file=f"/var/log/libvirt/qemu/{name}.console", append="on"), E.target(port="0"), type="pty"),
        E.console(E.target(type="serial", port="0"), type="pty"),
    )
    if image is not None:
        path = host.put(image, f"{name}{image.suffix}")
        kind = "qcow2" if image.suffix == ".qcow2" else "raw"
        devices.append(E.disk(E.driver(name="qemu", type=kind), E.source(file=path), E.target(dev="vda", bus="virtio"), type="file", device="disk"))  # fmt: skip
    if network:
        devices.append(E.interface(E.source(network=network), E.model(type="virtio"), type="network"))
    if agent:
        devices.append(E.channel(E.target(type="virtio", name="org.qemu.guest_agent.0"), type="unix"))
        devices.append(E.memballoon(E.stats(period="5"), model="virtio"))
    else:
        devices.append(E.memballoon(model="none"))
    if display:
        devices.append(E.graphics(E.listen(type="address", address="127.0.0.1"), type="vnc", autoport="yes"))
        devices.append(E.video(E.model(type="vga", vram="2048")))
    return devices
