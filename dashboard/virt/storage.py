"""Reading pools, volumes and guests' disks; making and deleting volumes; making the default pool where a host lacks it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import libvirt

from dashboard.virt.errors import VirtError, translate, virt_errors
from dashboard.virt.facts import PoolFacts, VolumeFacts
from dashboard.virt.xml.domain import Disk, Domain
from dashboard.virt.xml.parse import parse
from dashboard.virt.xml.storage import Pool, Volume, new_dir_pool, new_volume
from dashboard.virt.xml.text import valid_name

_STATES = {
    libvirt.VIR_STORAGE_POOL_INACTIVE: "inactive",
    libvirt.VIR_STORAGE_POOL_BUILDING: "building",
    libvirt.VIR_STORAGE_POOL_RUNNING: "running",
    libvirt.VIR_STORAGE_POOL_DEGRADED: "degraded",
    libvirt.VIR_STORAGE_POOL_INACCESSIBLE: "inaccessible",
}
_FILE_POOLS = {"dir", "fs", "netfs", "vstorage"}
"""Pools whose volumes are files and so have formats; the others' volumes are raw devices."""
_GONE = {libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_NO_STORAGE_VOL}
_UNWRITTEN = 1024 * 1024
"""A new qcow2 file has some 200 KiB of tables, a new raw file nothing: above this, somebody has written to it."""


@dataclass(frozen=True)
class GuestDisk:
    """One of a guest's disks, with what somebody wants to know who deletes it. Sizes in bytes, 0 where not known."""

    target: str
    device: str
    path: str
    readonly: bool
    pool: str = ""
    """Name of the pool whose volume it is; "" for files outside pools."""
    pool_uuid: str = ""
    volume: str = ""
    format: str = ""
    capacity: int = 0
    allocation: int = 0
    shared_with: tuple[str, ...] = ()
    """Names of other guests that have it too."""
    backing_of: tuple[str, ...] = ()
    """Paths of volumes that are layers on top of it, and die with it."""


@virt_errors()
def read_pools(conn: Any) -> list[PoolFacts]:
    """All pools with their volumes as libvirt last saw them (no refresh: that probes files). What vanishes is left out."""
    found = []
    persistent = _listed(conn, libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_PERSISTENT)
    autostart = _listed(conn, libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_AUTOSTART)
    for pool in conn.listAllStoragePools(0):
        uuid = pool.UUIDString()
        try:
            found.append(_pool_facts(pool, persistent=uuid in persistent, autostart=uuid in autostart))
        except libvirt.libvirtError as error:
            if error.get_error_code() not in _GONE:
                raise
    return found


@virt_errors()
def read_pool(conn: Any, uuid: str) -> PoolFacts:
    """One pool with its volumes. Raises VirtError ("not_found", …)."""
    pool = conn.storagePoolLookupByUUIDString(uuid)
    persistent = bool(pool.isPersistent())
    return _pool_facts(pool, persistent=persistent, autostart=persistent and bool(pool.autostart()))


def create_volume(
    conn: Any,
    pool_name: str,
    *,
    name: str,
    capacity: int,
    format: str = "qcow2",
    backing: tuple[str, str] | None = None,
) -> str:
    """Make a volume of `capacity` bytes (rounded up to KiB) and give its path. backing: (path, format). libvirt: createXML.

    A volume with a backing file may have capacity 0: as big as that.
    Done already if there is one of this name, size, format and backing file to which nothing has been written yet: what an
    interrupted run of the same step left. Any other of this name is VirtError "exists".
    """
    try:
        valid_name(name.rsplit(".", 1)[0])
    except ValueError as error:
        raise VirtError("invalid", str(error)) from error
    if capacity < 0 or (not capacity and backing is None):
        raise VirtError("invalid", "a volume has at least one byte")
    capacity = -(-capacity // 1024) * 1024  # as qemu-img would, so that a second look finds the same number
    with virt_errors():
        pool = _running(conn, pool_name)
        files = Pool.parse(pool.XMLDesc(0)).kind in _FILE_POOLS
        if not files and (format != "raw" or backing is not None):
            raise VirtError("unsupported", f"pool {pool_name} holds raw volumes only")
        there = _volume(pool, name)
        if there is not None:
            view = Volume.parse(there.XMLDesc(0))
            same = (view.capacity == capacity or not capacity) and view.backing == (backing[0] if backing else "")
            if same and view.format == format and files and view.allocation <= _UNWRITTEN:
                return view.path
            raise VirtError("exists", f"pool {pool_name} has a volume {name}")
        text = new_volume(name=name, capacity=capacity, format=format if files else "", backing=backing)
        path: str = pool.createXML(text, 0).path()
        return path


@virt_errors()
def delete_volume(conn: Any, path: str) -> None:
    """Delete the volume at a path; done already if no pool has one there. libvirt: delete(0).

    Whether a guest uses it is for the caller to ask (`guests_using`): libvirt does not.
    """
    volume = _volume_at(conn, path)
    if volume is not None:
        _delete(volume)


@virt_errors()
def delete_volume_named(conn: Any, pool_name: str, name: str) -> None:
    """Delete a volume by its pool's and its own name; done already if there is none, or no such pool."""
    try:
        pool = conn.storagePoolLookupByName(pool_name)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _GONE:
            return
        raise
    if not pool.isActive():
        raise VirtError("state", f"pool {pool_name} is not active")
    volume = _volume(pool, name) or _volume_after_a_look(pool, name)
    if volume is not None:
        _delete(volume)


@virt_errors()
def volume_exists(conn: Any, pool_name: str, name: str) -> bool:
    """Whether an active pool has a volume of this name. Raises VirtError "not_found", "state" for the pool."""
    return _volume(_running(conn, pool_name), name) is not None


@virt_errors()
def volume_at(conn: Any, path: str) -> tuple[str, VolumeFacts] | None:
    """(pool's name, volume) for the path of a volume of an active pool, else None. libvirt: storageVolLookupByPath."""
    volume = _volume_at(conn, path)
    return None if volume is None else (volume.storagePoolLookupByVolume().name(), _volume_facts(volume))


@virt_errors()
def changed_at(conn: Any, path: str) -> float | None:
    """When the volume's file was last changed, in seconds since 1970 by its host's clock; None where libvirt does not say."""
    volume = _volume_at(conn, path)
    told = parse(volume.XMLDesc(0)).findtext("target/timestamps/ctime") if volume is not None else None
    return float(told) if told else None


@virt_errors()
def refresh_pool(conn: Any, uuid: str) -> None:
    """Let libvirt look again what the pool holds. libvirt: refresh. Raises VirtError "state" for an inactive pool."""
    pool = conn.storagePoolLookupByUUIDString(uuid)
    if not pool.isActive():
        raise VirtError("state", "the pool is not active")
    pool.refresh(0)


@virt_errors()
def start_pool(conn: Any, uuid: str) -> None:
    """Start a pool; done already if it is active. libvirt: create(0), which makes no directory and formats nothing."""
    pool = conn.storagePoolLookupByUUIDString(uuid)
    if not pool.isActive():
        pool.create(0)


@virt_errors()
def create_default_pool(conn: Any, *, name: str = "default", path: str = "/var/lib/libvirt/images") -> str:
    """A directory pool that is active and starts with the host; gives its UUID.

    An existing pool of this name, or of this directory, is only started and set to start by itself. The directory is made
    if it lacks (build(0), which leaves an existing one as it is).
    """
    valid_name(name)
    pool = next((found for found in conn.listAllStoragePools(0) if found.name() == name or _is_dir(found, path)), None)
    if pool is None:
        pool = conn.storagePoolDefineXML(new_dir_pool(name=name, path=path), 0)
    if not pool.isActive():
        if Pool.parse(pool.XMLDesc(0)).kind == "dir":
            pool.build(0)
        pool.create(0)
    if not pool.autostart():
        pool.setAutostart(1)
    uuid: str = pool.UUIDString()
    return uuid


@virt_errors()
def disks_of(conn: Any, uuid: str) -> list[GuestDisk]:
    """The guest's disks by its definition: which are volumes, how big, who else has them, what stands on them.

    Reads every guest's XML and every volume's: for dialogs that delete, not for lists. Paths are compared as libvirt writes
    them, so a symbolic link to a file hides that it is shared.
    """
    domain = conn.lookupByUUIDString(uuid)
    view = _definition(domain)
    disks = [(disk, _path(conn, disk)) for disk in view.disks]
    users = guests_using(conn, {path for _, path in disks if path})
    layers = layers_on(conn, {path for _, path in disks if path})
    found = []
    for disk, path in disks:
        volume = _volume_at(conn, path) if path else None
        facts = _volume_facts(volume) if volume is not None else None
        pool = volume.storagePoolLookupByVolume() if volume is not None else None
        found.append(
            GuestDisk(
                target=disk.target,
                device=disk.device or "disk",
                path=path,
                readonly=disk.readonly or disk.device == "cdrom",
                pool=pool.name() if pool else "",
                pool_uuid=pool.UUIDString() if pool else "",
                volume=facts.name if facts else "",
                format=disk.format,
                capacity=facts.capacity if facts else 0,
                allocation=facts.allocation if facts else 0,
                shared_with=tuple(name for other, name in users.get(path, ()) if other != uuid),
                backing_of=layers.get(path, ()),
            )
        )
    return found


@virt_errors()
def guests_using(conn: Any, paths: Iterable[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Path → ((UUID, name), …), by name, of the guests whose definition or running form has it as a disk."""
    wanted = set(paths)
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for domain in sorted(conn.listAllDomains(0) if wanted else (), key=lambda domain: str(domain.name())):
        try:
            views = [_definition(domain)]
            if domain.isActive():
                views.append(Domain.parse(domain.XMLDesc(0)))
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                continue
            raise
        for path in {_path(conn, disk) for view in views for disk in view.disks} & wanted:
            found[path] = (*found.get(path, ()), (domain.UUIDString(), domain.name()))
    return found


def _definition(domain: Any) -> Domain:
    return Domain.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


def _path(conn: Any, disk: Disk) -> str:
    """The path behind a disk; a disk given as pool and volume is looked up."""
    if disk.kind != "volume" or not disk.source.volume:
        return disk.path
    try:
        volume = _volume(conn.storagePoolLookupByName(disk.source.pool), disk.source.volume)
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _GONE | {libvirt.VIR_ERR_OPERATION_INVALID}:
            raise
        volume = None
    return disk.path if volume is None else str(volume.path())


@virt_errors()
def layers_on(conn: Any, paths: set[str]) -> dict[str, tuple[str, ...]]:
    """Path → paths of the volumes, in active pools, that are layers on top of it and die with it."""
    found: dict[str, tuple[str, ...]] = {}
    for pool in conn.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE) if paths else ():
        for volume in _volumes(pool):
            if volume.backing in paths:
                found[volume.backing] = (*found.get(volume.backing, ()), volume.path)
    return found


def _pool_facts(pool: Any, *, persistent: bool, autostart: bool) -> PoolFacts:
    view = Pool.parse(pool.XMLDesc(0))
    state, capacity, allocation, available = pool.info()
    return PoolFacts(
        uuid=pool.UUIDString(),
        name=pool.name(),
        kind=view.kind,
        state=_STATES.get(state, "inaccessible"),
        persistent=persistent,
        autostart=autostart,
        capacity=capacity,
        allocation=allocation,
        available=available,
        path=view.path,
        volumes=tuple(_volumes(pool)) if state != libvirt.VIR_STORAGE_POOL_INACTIVE else (),
    )


def _volumes(pool: Any) -> list[VolumeFacts]:
    try:
        listed = pool.listAllVolumes(0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:  # it was stopped just now
            return []
        raise
    found = []
    for volume in listed:
        try:
            found.append(_volume_facts(volume))
        except libvirt.libvirtError as error:
            if error.get_error_code() not in _GONE | {libvirt.VIR_ERR_OPERATION_INVALID}:
                raise
    return found


def _volume_facts(volume: Any) -> VolumeFacts:
    view = Volume.parse(volume.XMLDesc(0))
    return VolumeFacts(
        name=view.name,
        kind=view.kind or "file",
        format=view.format,
        capacity=view.capacity,
        allocation=view.allocation,
        path=view.path,
        backing=view.backing,
    )


def _running(conn: Any, pool_name: str) -> Any:
    pool = conn.storagePoolLookupByName(pool_name)
    if not pool.isActive():
        raise VirtError("state", f"pool {pool_name} is not active")
    return pool


def _volume(pool: Any, name: str) -> Any | None:
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _GONE:
            return None
        raise


def _volume_after_a_look(pool: Any, name: str) -> Any | None:
    """The volume once the pool was looked at anew: of one whose making outlived libvirtd, libvirt does not know."""
    try:
        pool.refresh(0)
    except libvirt.libvirtError as error:
        if translate(error).code == "busy":  # while a volume is being made in it, libvirt does not look
            return None
        raise
    return _volume(pool, name)


def _volume_at(conn: Any, path: str) -> Any | None:
    try:
        return conn.storageVolLookupByPath(path)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _GONE:
            return None
        raise


def _delete(volume: Any) -> None:
    try:
        volume.delete(0)
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _GONE:
            raise


def _is_dir(pool: Any, path: str) -> bool:
    view = Pool.parse(pool.XMLDesc(0))
    return view.kind in _FILE_POOLS and view.path == path


def _listed(conn: Any, flag: int) -> set[str]:
    return {pool.UUIDString() for pool in conn.listAllStoragePools(flag)}
