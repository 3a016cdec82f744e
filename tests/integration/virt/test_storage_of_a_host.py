"""Pools, volumes and guests' disks of a real libvirt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from dashboard.virt import change, power, storage
from dashboard.virt.errors import VirtError
from dashboard.virt.pool import borrow
from dashboard.virt.xml.create import NewDisk, NewGuest, new_domain
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost

Make = Callable[..., LabGuest]
MIB = 1024 * 1024
POOL, FOLDER = "work", "/var/lib/libvirt/work"


@pytest.fixture
def conn(lab_host: LabHost) -> Iterator[Any]:
    with borrow(lab_host.spec()) as conn:
        yield conn


@pytest.fixture
def pool(conn: Any) -> Iterator[str]:
    uuid = storage.create_default_pool(conn, name=POOL, path=FOLDER)
    yield uuid
    found = conn.storagePoolLookupByUUIDString(uuid)
    if not found.isActive():
        found.create(0)
    for volume in found.listAllVolumes(0):
        volume.delete(0)
    found.destroy()
    found.undefine()


def refuses(code: str, call: Callable[..., object], *args: Any, **kwargs: Any) -> VirtError:
    with pytest.raises(VirtError) as refused:
        call(*args, **kwargs)
    assert refused.value.code == code
    return refused.value


def test_a_default_pool_is_made_once_and_mended_when_it_is_off(conn: Any, pool: str, lab_host: LabHost) -> None:
    facts = storage.read_pool(conn, pool)
    assert (facts.name, facts.kind, facts.state, facts.path) == (POOL, "dir", "running", FOLDER)
    assert (facts.persistent, facts.autostart, facts.volumes) == (True, True, ())
    assert facts.capacity > facts.available > 0
    lab_host.virsh("pool-destroy", POOL)
    lab_host.virsh("pool-autostart", POOL, "--disable")
    assert storage.read_pool(conn, pool).state == "inactive"
    assert storage.create_default_pool(conn, name=POOL, path=FOLDER) == pool
    assert storage.create_default_pool(conn, name="another", path=FOLDER) == pool  # one directory, one pool
    facts = storage.read_pool(conn, pool)
    assert (facts.state, facts.autostart) == ("running", True)
    assert facts in storage.read_pools(conn)


@pytest.mark.parametrize("format", ["qcow2", "raw"])
def test_a_volume_is_made_read_found_and_deleted_each_as_often_as_one_likes(conn: Any, pool: str, format: str) -> None:
    for _ in range(2):
        path = storage.create_volume(conn, POOL, name=f"disk.{format}", capacity=64 * MIB, format=format)
        assert path == f"{FOLDER}/disk.{format}"
    (volume,) = storage.read_pool(conn, pool).volumes
    assert (volume.name, volume.kind, volume.format) == (f"disk.{format}", "file", format)
    assert (volume.path, volume.backing, volume.capacity) == (path, "", 64 * MIB)
    assert volume.allocation < MIB
    assert storage.volume_at(conn, path) == (POOL, volume)
    assert storage.volume_exists(conn, POOL, volume.name)
    for _ in range(2):
        storage.delete_volume(conn, path)
    storage.delete_volume_named(conn, POOL, volume.name)
    storage.delete_volume_named(conn, "no-such-pool", volume.name)
    assert storage.volume_at(conn, path) is None
    assert not storage.volume_exists(conn, POOL, volume.name)


def test_a_volume_that_libvirt_does_not_know_yet_is_deleted_all_the_same(
    conn: Any, pool: str, lab_host: LabHost
) -> None:
    """As qemu-img leaves it when libvirtd dies and starts again meanwhile."""
    file = lab_host.dir / "var-lib" / "work" / "orphan.qcow2"
    file.write_bytes(b"QFI\xfb")
    assert not storage.volume_exists(conn, POOL, file.name)
    storage.delete_volume_named(conn, POOL, file.name)
    assert not file.exists()


def test_a_volume_of_another_size_or_with_content_is_not_taken_for_ours(
    conn: Any, pool: str, lab_host: LabHost
) -> None:
    storage.create_volume(conn, POOL, name="disk.qcow2", capacity=64 * MIB)
    refuses("exists", storage.create_volume, conn, POOL, name="disk.qcow2", capacity=65 * MIB)
    refuses("exists", storage.create_volume, conn, POOL, name="disk.qcow2", capacity=64 * MIB, format="raw")
    lab_host.exec("qemu-io", "-f", "qcow2", "-c", "write 0 8M", f"{FOLDER}/disk.qcow2")
    storage.refresh_pool(conn, pool)
    refuses("exists", storage.create_volume, conn, POOL, name="disk.qcow2", capacity=64 * MIB)


def test_odd_sizes_are_rounded_the_same_way_each_time(conn: Any, pool: str) -> None:
    for name, format in (("a.qcow2", "qcow2"), ("a.raw", "raw")):
        for _ in range(2):
            storage.create_volume(conn, POOL, name=name, capacity=1_000_001, format=format)
    assert {volume.capacity for volume in storage.read_pool(conn, pool).volumes} == {977 * 1024}


def test_a_layer_is_as_big_as_its_base_where_nothing_is_said(conn: Any, pool: str) -> None:
    base = storage.create_volume(conn, POOL, name="base.qcow2", capacity=64 * MIB)
    for _ in range(2):
        storage.create_volume(conn, POOL, name="layer.qcow2", capacity=0, backing=(base, "qcow2"))
    assert [volume.capacity for volume in storage.read_pool(conn, pool).volumes] == [64 * MIB] * 2


def test_a_layer_names_its_base_and_the_bases_format(conn: Any, pool: str) -> None:
    base = storage.create_volume(conn, POOL, name="base.qcow2", capacity=64 * MIB)
    for _ in range(2):
        storage.create_volume(conn, POOL, name="layer.qcow2", capacity=64 * MIB, backing=(base, "qcow2"))
    layer = next(volume for volume in storage.read_pool(conn, pool).volumes if volume.name == "layer.qcow2")
    assert layer.backing == base
    xml = etree.fromstring(conn.storageVolLookupByPath(layer.path).XMLDesc(0))
    assert xml.find("backingStore/format").get("type") == "qcow2"
    assert xml.findtext("target/compat") == "1.1"


@pytest.mark.parametrize("name", ["../escape.qcow2", "a/b.qcow2", "", ".hidden", "-x.raw", "a b.raw", "<b>.raw"])
def test_a_volume_name_stays_in_its_pool(conn: Any, pool: str, name: str) -> None:
    refuses("invalid", storage.create_volume, conn, POOL, name=name, capacity=MIB)


def test_what_cannot_be_is_said_in_one_word(conn: Any, pool: str, lab_host: LabHost) -> None:
    refuses("invalid", storage.create_volume, conn, POOL, name="a.raw", capacity=0)
    refuses("not_found", storage.create_volume, conn, "no-such-pool", name="a.raw", capacity=MIB)
    lab_host.virsh("pool-destroy", POOL)
    refuses("state", storage.create_volume, conn, POOL, name="a.raw", capacity=MIB)
    refuses("state", storage.refresh_pool, conn, pool)
    refuses("state", storage.delete_volume_named, conn, POOL, "a.raw")
    for _ in range(2):
        storage.start_pool(conn, pool)
    assert storage.read_pool(conn, pool).state == "running"


def test_a_file_that_others_put_there_is_seen_after_a_refresh(conn: Any, pool: str, lab_host: LabHost) -> None:
    lab_host.exec("truncate", "-s", "1M", f"{FOLDER}/found <b>'&.iso")
    assert storage.read_pool(conn, pool).volumes == ()
    storage.refresh_pool(conn, pool)
    (volume,) = storage.read_pool(conn, pool).volumes
    assert volume.name == "found <b>'&.iso"
    storage.delete_volume_named(conn, POOL, volume.name)


def test_a_guests_disks_tell_what_goes_with_it(
    conn: Any, pool: str, lab_host: LabHost, make_guest: Make, idle_image: Path
) -> None:
    base = storage.create_volume(conn, POOL, name="base.qcow2", capacity=64 * MIB)
    layer = storage.create_volume(conn, POOL, name="layer.qcow2", capacity=64 * MIB, backing=(base, "qcow2"))
    iso = lab_host.put(idle_image, "reading.iso")
    one, two = "4c414200-1111-4000-8001-0000000000b1", "4c414200-1111-4000-8001-0000000000b2"
    disks = (NewDisk("qcow2", pool=POOL, volume="base.qcow2"), NewDisk("raw", path="/nowhere/else.raw"))
    first = NewGuest(uuid=one, name="disks1", vcpus=1, memory_kib=65536, virt="qemu", disks=disks, cdrom=iso)
    second = NewGuest(
        uuid=two, name="disks2", vcpus=1, memory_kib=65536, virt="qemu", disks=(NewDisk("qcow2", path=base),)
    )
    try:
        for spec in (first, second):
            change.define(conn, new_domain(spec))
        volume, stray, drive = storage.disks_of(conn, one)
        assert (volume.target, volume.path, volume.pool, volume.volume, volume.pool_uuid) == (
            "vda",
            base,
            POOL,
            "base.qcow2",
            pool,
        )
        assert (volume.format, volume.capacity, volume.readonly) == ("qcow2", 64 * MIB, False)
        assert (volume.shared_with, volume.backing_of) == (("disks2",), (layer,))
        assert (stray.path, stray.pool, stray.capacity, stray.shared_with) == ("/nowhere/else.raw", "", 0, ())
        assert (drive.device, drive.path, drive.readonly) == ("cdrom", iso, True)
        assert storage.guests_using(conn, [base, layer, "/x"]) == {base: ((one, "disks1"), (two, "disks2"))}
        assert storage.guests_using(conn, []) == {}
    finally:
        for uuid in (one, two):
            change.undefine(conn, uuid)


def test_a_guest_runs_from_a_volume_named_by_pool(conn: Any, pool: str, lab_host: LabHost) -> None:
    storage.create_volume(conn, POOL, name="run.qcow2", capacity=64 * MIB)
    uuid = "4c414200-1111-4000-8001-0000000000b3"
    disk = NewDisk("qcow2", pool=POOL, volume="run.qcow2")
    change.define(
        conn, new_domain(NewGuest(uuid=uuid, name="run", vcpus=1, memory_kib=65536, virt="qemu", disks=(disk,)))
    )
    try:
        power.start(conn, uuid, paused=True)
        assert storage.disks_of(conn, uuid)[0].path == f"{FOLDER}/run.qcow2"
    finally:
        power.destroy(conn, uuid)
        change.undefine(conn, uuid)


def test_pools_and_volumes_that_come_and_go_meanwhile_are_no_error(conn: Any, pool: str, lab_host: LabHost) -> None:
    stop = threading.Event()
    xml = f"<pool type='dir'><name>flicker</name><target><path>{FOLDER}</path></target></pool>".replace(
        "/work<", "/flicker<"
    )

    def flicker() -> None:
        with borrow(lab_host.spec(key="flicker")) as other:
            while not stop.is_set():
                storage.create_volume(other, POOL, name="flicker.raw", capacity=MIB, format="raw")
                storage.delete_volume_named(other, POOL, "flicker.raw")
                found = other.storagePoolDefineXML(xml, 0)
                found.undefine()

    thread = threading.Thread(target=flicker)
    thread.start()
    try:
        for _ in range(300):
            storage.read_pools(conn)
    finally:
        stop.set()
        thread.join()
