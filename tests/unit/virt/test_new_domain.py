"""The definition of a new guest holds what was asked for and kvmweb's good defaults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dashboard.virt.errors import VirtError
from dashboard.virt.guests import facts_of
from dashboard.virt.xml.create import SPARE_PORTS, NewDisk, NewGuest, NewNic, new_domain
from dashboard.virt.xml.domain import Domain

SPEC = NewGuest(
    uuid="4c414200-1111-4000-8001-000000000001",
    name="db1",
    vcpus=2,
    memory_kib=1048576,
    virt="kvm",
    title="<Data> & 'base'",
    disks=(NewDisk("qcow2", path="/images/db1.qcow2"), NewDisk("raw", pool="default", volume="data.raw")),
    cdrom="/images/installer.iso",
    nics=(NewNic("default", "52:54:00:00:00:01"),),
    tags=("db", "prod"),
    job="17",
)


def view(**changes: Any) -> Domain:
    return Domain.parse(new_domain(replace(SPEC, **changes)))


def test_it_says_who_the_guest_is_and_which_job_made_it() -> None:
    domain = view()
    assert (domain.name, domain.uuid, domain.title) == (SPEC.name, SPEC.uuid, SPEC.title)
    assert (domain.tags, domain.job) == (SPEC.tags, "17")
    assert (domain.vcpus, domain.memory_kib) == (2, 1048576)


def test_making_it_twice_gives_the_same_bytes() -> None:
    assert new_domain(SPEC) == new_domain(SPEC)


def test_every_disk_says_its_format() -> None:
    assert [(disk.target, disk.format, disk.path) for disk in view().disks] == [
        ("vda", "qcow2", "/images/db1.qcow2"),
        ("vdb", "raw", "default/data.raw"),
        ("sda", "raw", "/images/installer.iso"),
    ]


def test_the_screen_listens_on_loopback_only() -> None:
    (screen,) = view().graphics
    assert (screen.kind, screen.listen, screen.autoport) == ("vnc", "127.0.0.1", "yes")


def test_it_has_a_serial_line_an_agent_channel_and_figures_of_its_memory() -> None:
    domain = view()
    facts = facts_of(domain)
    assert facts["serials"] == [{"target": "serial0", "kind": "pty"}]
    assert facts["agent"]
    assert domain.element.find("devices/memballoon/stats[@period='5']") is not None
    assert domain.element.find("devices/rng/backend[@model='random']") is not None
    assert domain.element.find("devices/input[@type='tablet'][@bus='usb']") is not None


def test_kvm_gets_the_hosts_cpu_and_a_virtio_screen() -> None:
    domain = view()
    assert (domain.cpu, domain.video, domain.tb_cache_mib) == ("host-passthrough", "virtio", 0)


def test_an_emulated_guest_is_kept_small_and_gets_a_plain_screen() -> None:
    domain = view(virt="qemu")
    assert (domain.kind, domain.cpu, domain.video, domain.tb_cache_mib) == ("qemu", "default", "vga", 64)


@pytest.mark.parametrize("disks", [(), SPEC.disks, (NewDisk("qcow2", path="/a", bus="scsi"),)])
def test_ports_are_left_for_hot_plug(disks: tuple[NewDisk, ...]) -> None:
    domain = view(disks=disks)
    ports = sum(controller.model == "pcie-root-port" for controller in domain.controllers)
    assert ports >= SPARE_PORTS + len(disks) + len(SPEC.nics) + 4
    assert not [controller for controller in view(machine="pc").controllers if controller.kind == "pci"]


@pytest.mark.parametrize(
    ("changes", "boot"),
    [
        ({}, ["hd", "cdrom"]),
        ({"cdrom": None}, ["hd"]),
        ({"disks": ()}, ["cdrom"]),
        ({"disks": (), "cdrom": None}, ["network"]),
        ({"disks": (), "cdrom": None, "nics": ()}, ["hd"]),
        ({"boot": ("cdrom", "hd", "network")}, ["cdrom", "hd", "network"]),
    ],
)
def test_it_starts_from_what_it_has(changes: dict[str, Any], boot: list[str]) -> None:
    assert view(**changes).boot == boot


def test_efi_is_asked_of_libvirt_without_secure_boot() -> None:
    assert view(firmware="efi").firmware == "efi"
    assert view().firmware == "bios"


def test_targets_never_meet() -> None:
    disks = tuple(
        NewDisk("raw", path=f"/{n}", bus=bus) for n, bus in enumerate(["sata", "virtio", "scsi", "sata", "usb"])
    )
    targets = [disk.target for disk in view(disks=(*disks, NewDisk("raw", path="/x", target="vda"))).disks]
    assert len(set(targets)) == len(targets) == 7
    many = tuple(NewDisk("raw", path=f"/{n}") for n in range(30))
    assert [disk.target for disk in view(disks=many, cdrom=None).disks][25:28] == ["vdz", "vdaa", "vdab"]


def test_an_empty_drive_has_no_source() -> None:
    (drive,) = [disk for disk in view(cdrom="").disks if disk.device == "cdrom"]
    assert (drive.path, drive.readonly) == ("", True)
    assert drive.element.find("source") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "-a"}, {"name": "a b"}, {"uuid": "x"}, {"vcpus": 0}, {"memory_kib": 0}, {"title": "a\nb"}, {"title": "\x01"},
        {"description": "\x00"}, {"tags": ("a b",)}, {"nics": (NewNic("default", "53:54:00:00:00:01"),)},
        {"nics": (NewNic("default", "nonsense"),)}, {"disks": (NewDisk("", path="/a"),)}, {"disks": (NewDisk("raw"),)},
        {"disks": (NewDisk("raw", path="/a", volume="b", pool="c"),)}, {"disks": (NewDisk("raw", volume="b"),)},
        {"disks": (NewDisk("raw", path="/a", bus="<x>"),)}, {"disks": (NewDisk("raw", path="/a\x00"),)},
    ],
)  # fmt: skip
def test_nonsense_is_refused_with_a_sentence(changes: dict[str, Any]) -> None:
    with pytest.raises(VirtError) as refused:
        view(**changes)
    assert refused.value.code == "invalid"
    assert refused.value.detail
