"""What others do to a guest while kvmweb is at it, storage that resists, and a worker that is told to go."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dashboard.virt import change
from dashboard.virt.connection import open_connection
from dashboard.virt.errors import VirtError
from tests.lab.hosts import wait_for
from tests.survival.faults import stopped
from tests.survival.scene import World, clear


@contextmanager
def busy(world: World, volume: str) -> Iterator[None]:
    """A file of the pool that cannot be unlinked: something is mounted on it."""
    path = f"/var/lib/libvirt/{world.truth.pool}/{volume}"
    world.host.exec("mount", "--bind", path, path)
    # libvirtd sees the mount, being in the same mount namespace.
    try:
        yield
    finally:
        world.host.exec("umount", path)


def test_a_create_whose_definition_is_refused_removes_its_disk(world: World) -> None:
    world.slow.hold("taken")
    job = world.create("taken")
    wait_for(lambda: world.slow.reached("taken"), seconds=20, saying="its disk is being made")
    _define_other(world, "taken")
    world.slow.let_go("taken")
    row = world.ended(job)
    assert (row["state"], row["error_code"], row["leftovers"]) == ("failed", "exists", [])
    assert row["plan"]["volume"] not in world.truth.volumes()
    assert [domain.uuid for domain in world.truth.domains() if domain.name == "taken"] != [row["plan"]["uuid"]]


def _define_other(world: World, name: str) -> str:
    """A guest that somebody else defines with virsh; its UUID."""
    path = world.host.dir / "root" / f"{name}.xml"
    path.write_text(
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory><os><type>hvm</type></os></domain>"
    )
    world.host.virsh("define", str(path))
    return world.host.virsh("domuuid", name)


def test_a_disk_that_cannot_be_removed_again_is_named(world: World) -> None:
    world.slow.hold("stuck")
    job = world.create("stuck")
    wait_for(lambda: world.slow.reached("stuck"), seconds=20, saying="its disk is being made")
    volume = world.truth.job(job)["plan"]["volume"]
    _define_other(world, "stuck")
    (world.truth.folder / volume).touch()
    with busy(world, volume):
        world.slow.let_go("stuck")
        row = world.ended(job)
    assert row["state"] == "needs_attention", row
    assert volume in str(row["leftovers"])
    assert volume in world.truth.volumes()
    world.host.virsh("undefine", "stuck")


def test_a_delete_that_fails_at_the_second_of_three_disks_names_it_and_trying_again_finishes(world: World) -> None:
    uuid = world.guest("three")
    first = world.truth.jobs("operation = 'guest.create'")[-1]["plan"]["volume"]
    folder = f"/var/lib/libvirt/{world.truth.pool}"
    for target, name in (("vdb", "three-b.raw"), ("vdc", "three-c.raw"), ("vdd", "three-shared.raw")):
        world.host.virsh("vol-create-as", world.truth.pool, name, "1M", "--format", "raw")
        world.host.virsh("attach-disk", uuid, f"{folder}/{name}", target, "--config", "--targetbus", "virtio")
    again = world.host.dir / "root" / "three.xml"
    again.write_text(world.host.virsh("dumpxml", uuid))
    world.host.virsh("define", str(again))  # libvirt tells of definitions, not of disks that join one
    other = _define_other(world, "shares")
    world.host.virsh("pool-refresh", world.truth.pool)
    volume, guest = (
        "SELECT id FROM inventory_volume WHERE name = ?",
        "SELECT id FROM inventory_guest WHERE CAST(facts AS TEXT) LIKE ?",
    )
    wait_for(lambda: world.truth.rows(volume, "three-c.raw"), seconds=70, saying="kvmweb knows the volumes")
    wait_for(lambda: world.truth.rows(guest, "%three-shared.raw%"), seconds=20, saying="kvmweb knows the guest's disks")
    chosen = [f"{folder}/{name}" for name in (first, "three-b.raw", "three-c.raw", "three-shared.raw")]
    with busy(world, "three-b.raw"):
        with stopped(world.process("worker").pid):
            job = world.begin("guest.delete", uuid, name="three", volumes=chosen)
            world.host.virsh("attach-disk", other, chosen[3], "vda", "--config", "--targetbus", "virtio")
        row = world.ended(job)
    assert row["state"] == "needs_attention", row
    assert "three-b.raw" in str(row["leftovers"])
    assert "three-shared.raw" in str(row["leftovers"])
    assert {"three-b.raw", "three-shared.raw"} == {name for name in world.truth.volumes() if name.startswith("three")}
    assert uuid not in world.host.virsh("list", "--all", "--uuid")
    status, _said = world.visitor.ask(f"/jobs/{job}/retry/", b"")
    assert status == 202
    second = world.truth.jobs("operation = 'guest.delete'")[-1]
    assert second["id"] != row["id"]
    row = world.ended(second["id"])
    assert row["state"] == "needs_attention", "the disk that another guest has stays"
    assert {"three-shared.raw"} == {name for name in world.truth.volumes() if name.startswith("three")}


def test_a_guest_that_somebody_undefines_while_it_is_made_leaves_nothing(world: World) -> None:
    """Between its definition and its start, if we are quick enough; a start that won is destroyed and asked again."""
    connection = open_connection(world.host.spec())
    try:
        for attempt in range(5):
            job = world.create(f"vanishing{attempt}", start_now=True)
            uuid, look = world.truth.job(job)["plan"]["uuid"], world.truth.watch(job)
            while look()[0] in ("queued", "running") and not _undefined(connection.conn, uuid):
                time.sleep(0.001)
            row = world.ended(job)
            if row["state"] == "failed":
                break
            clear(world.truth, "vanishing")
        assert (row["state"], row["error_code"]) == ("failed", "changed"), (row["error_code"], row["error_detail"])
        assert row["plan"]["volume"] not in world.truth.volumes()
        assert uuid not in world.host.virsh("list", "--all", "--uuid")
    finally:
        connection.close()


def _undefined(conn: Any, uuid: str) -> bool:
    """Undefine the guest if it is there and off; whether that was so."""
    try:
        change.job_of(conn, uuid)
        change.undefine(conn, uuid)
    except VirtError:
        return False
    return True


def test_jobs_on_a_guest_that_others_destroy_undefine_or_rename_say_that_it_was_changed_outside(world: World) -> None:
    uuid = world.guest("tugged", start_now=True)
    worker = world.process("worker")
    with stopped(worker.pid):
        job = world.begin("guest.pause", uuid)
        world.host.virsh("destroy", uuid)
    row = world.ended(job)
    assert (row["state"], row["error_code"]) == ("failed", "changed"), row
    world.shows(uuid, "shutoff")
    with stopped(worker.pid):
        job = world.begin("guest.start", uuid)
        world.host.virsh("domrename", "tugged", "pulled")
    assert world.ended(job)["state"] == "succeeded", "its name is not what it is known by"
    wait_for(lambda: world.truth.rows("SELECT id FROM inventory_guest WHERE name = 'pulled'"), seconds=10)
    with stopped(worker.pid):
        job = world.begin("guest.tags", uuid, tags=["late"])
        world.host.virsh("destroy", uuid)
        world.host.virsh("undefine", uuid, "--storage", "vda")
        world.host.virsh("pool-refresh", world.truth.pool)  # libvirt tells of no volume that goes
    row = world.ended(job)
    assert (row["state"], row["error_code"]) == ("failed", "changed"), row
    world.shows(uuid, None)


def test_a_save_goes_on_in_the_next_worker_when_one_is_told_to_go(world: World) -> None:
    """libvirt's own job is adopted: the memory is written once, though the stream to the disk had hung."""
    uuid = world.guest("packed", start_now=True, memory_mib=64)
    old = world.process("worker")
    with stopped(world.host.libvirtd_pid):
        job = world.begin("guest.save", uuid)
        world.at(job, 0)
        old.send_signal(signal.SIGTERM)
        wait_for(lambda: not old.is_running() or old.status() == "zombie", seconds=8, saying="the worker has gone")
        assert world.truth.job(job)["state"] == "running"
    world.replaced("worker", old.pid)
    row = world.ended(job)
    assert (row["state"], row["crashes"]) == ("succeeded", 0), row
    assert row["attempt"] >= 2
    assert "yes" in next(line for line in world.host.virsh("dominfo", uuid).splitlines() if "Managed save" in line)
    world.shows(uuid, "shutoff")
