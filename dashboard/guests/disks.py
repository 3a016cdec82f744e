"""A guest's disks as the mirror knows them: size, pool, who else uses them, and what deleting the guest may take along."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from dashboard.accounts.access import can, guests_where
from dashboard.accounts.models import User
from dashboard.inventory.models import Guest, Host, Volume
from dashboard.jobs.models import Job

FIXED_POOLS = {"iscsi", "iscsi-direct", "scsi", "mpath"}
"""Kinds of pools whose volumes libvirt can neither make nor delete: the storage behind them does."""
SHARED_POOLS = {"netfs", "iscsi", "iscsi-direct", "scsi", "rbd", "gluster", "sheepdog"}
"""Kinds of pools whose volumes other hosts may use under the same path."""


@dataclass(frozen=True)
class GuestDisk:
    """One disk or drive of a guest. Sizes in bytes; None where no pool knows the file."""

    target: str
    bus: str
    device: str
    path: str
    format: str
    readonly: bool
    shared: bool
    capacity: int | None
    allocation: int | None
    pool: str
    volume: str
    stays: str
    """Why it is kept whatever happens to the guest; "" when it may be deleted with it."""


MEDIA = ("cdrom", "floppy")
"""Devices that hold a medium; what is in them is no disk of the guest."""


def disks_of(guest: Guest, reader: User | None = None) -> list[GuestDisk]:
    """All disks and drives of a guest, in its own order. Four queries, whatever their number; five with shared storage.

    `reader`: to whom it is told; guests that they may not see are not named.
    """
    disks: list[dict[str, Any]] = guest.facts.get("disks") or []
    paths = [disk["source"] for disk in disks if disk.get("source")]
    volumes = _volumes(guest, paths)
    users = _all_users(guest, paths, volumes, reader)
    based = _based_on(guest.host_id, [volume.path for volume in volumes.values()])
    return [_disk(disk, volumes.get(disk.get("source", "")), users, based) for disk in disks]


def _disk(
    disk: dict[str, Any], volume: Volume | None, users: dict[str, list[str]], based: dict[str, list[str]]
) -> GuestDisk:
    path = disk.get("source") or ""
    return GuestDisk(
        target=disk.get("target", ""),
        bus=disk.get("bus", ""),
        device=disk.get("device", "disk"),
        path=path,
        format=disk.get("format", ""),
        readonly=bool(disk.get("readonly")),
        shared=bool(disk.get("shared")),
        capacity=volume.capacity if volume else None,
        allocation=volume.allocation if volume else None,
        pool=volume.pool.name if volume else "",
        volume=volume.name if volume else "",
        stays=_why_it_stays(disk, volume, users.get(path, []), based.get(volume.path, []) if volume else []),
    )


def _why_it_stays(disk: dict[str, Any], volume: Volume | None, users: list[str], based: list[str]) -> str:
    if not disk.get("source"):
        return _("The drive is empty.")
    if disk.get("device") in MEDIA:
        return _("It is a medium in a drive and not a disk of this machine.")
    if volume is None:
        return _("It is in no storage pool of this host.")
    if volume.pool.kind in FIXED_POOLS:
        return _("It belongs to a storage system and is deleted there.")
    if users:
        return _("Also used by %(names)s.") % {"names": ", ".join(users)}
    if based:
        return _("%(names)s is based on it.") % {"names": ", ".join(based)}
    return ""


def _volumes(guest: Guest, paths: list[str]) -> dict[str, Volume]:
    """Volumes of this host by the source that the guest's definition names (a path, or "pool/volume")."""
    wanted = Q(path__in=paths)
    for pool, _slash, name in (path.partition("/") for path in paths if path and not path.startswith("/")):
        wanted |= Q(pool__name=pool, name=name)
    found: dict[str, Volume] = {}
    for volume in Volume.objects.filter(wanted, pool__host_id=guest.host_id).select_related("pool"):
        found[volume.path] = volume
        found.setdefault(f"{volume.pool.name}/{volume.name}", volume)
    return found


def _all_users(guest: Guest, paths: list[str], volumes: dict[str, Volume], reader: User | None) -> dict[str, list[str]]:
    """Names of the other guests that have these disks, by path. Here a path is a file; on another host the same path is
    the same file where the pool is shared, or where that host has this very guest (migrated, or left behind)."""
    shared = [path for path in paths if path in volumes and volumes[path].pool.kind in SHARED_POOLS]
    users = used_by(guest.host_id, paths, but=guest, reader=reader) | used_by(None, shared, but=guest, reader=reader)
    twins = Guest.objects.filter(uuid=guest.uuid).exclude(pk=guest.pk).select_related("host")
    unseen = _unseen(twins, reader)
    for twin in twins.only("facts", "name", "host__name"):
        word = _hidden() if twin.pk in unseen else f"{twin.name} ({twin.host.name})"
        for source in {disk.get("source") for disk in twin.facts.get("disks") or []}.intersection(paths):
            users[source] = sorted({*users.get(source, []), word})
    return users


def attachable(host: Host, user: User) -> Q:
    """The filter over the host's volumes for those that this person may give a new guest as its disk.

    Whoever sees the host's storage and all its guests: any, for they could read it in the guest that it was of. Everybody
    else: what they made themselves. A disk that stayed when its guest was deleted is nobody's find.
    """
    if can(user, "storage.view", host) and can(user, "guest.view", host):
        return Q()
    made = Job.objects.filter(operation="guest.create", host=host, created_by=user)
    return Q(path__in=[path for path in made.values_list("plan__volume_path", flat=True) if path])


def _unseen(guests: QuerySet[Guest], reader: User | None) -> set[int]:
    """Those of these guests that the reader may not see."""
    if reader is None or can(reader, "guest.view"):
        return set()
    return set(guests.exclude(guests_where(reader)).values_list("pk", flat=True))


def _hidden() -> str:
    return _("a machine that you may not see")


def used_by(
    host_id: int | None,
    paths: Iterable[str],
    *,
    but: Guest | None = None,
    reader: User | None = None,
    media: bool = True,
) -> dict[str, list[str]]:
    """Names of the guests that name these paths as a disk, by path; on one host, or (None) on all.

    `reader`: to whom it is told, see `disks_of`. Without `media` those count not that only have it in a drive.
    """
    wanted = {path for path in paths if path}
    if not wanted:
        return {}
    mentioned = Q()
    for path in wanted:
        mentioned |= Q(xml__contains=escape(path)) | Q(xml__contains=quoteattr(path)[1:-1])
        if not path.startswith("/"):
            mentioned |= Q(facts__icontains=path)
    guests = Guest.objects.filter(mentioned)
    if host_id is not None:
        guests = guests.filter(host_id=host_id)
    if but is not None:
        guests = guests.exclude(pk=but.pk)
    unseen = _unseen(guests, reader)
    users: dict[str, list[str]] = defaultdict(list)
    for pk, name, facts in guests.order_by("name").values_list("pk", "name", "facts"):
        disks = [disk for disk in facts.get("disks") or [] if media or disk.get("device") not in MEDIA]
        word = _hidden() if pk in unseen else name
        for source in {disk.get("source") for disk in disks} & wanted:
            users[source] = [*(one for one in users[source] if one != word), word]
    return dict(users)


def _based_on(host_id: int, paths: list[str]) -> dict[str, list[str]]:
    based: dict[str, list[str]] = defaultdict(list)
    if paths:
        for name, backing in Volume.objects.filter(pool__host_id=host_id, backing__in=paths).values_list(
            "name", "backing"
        ):
            based[backing].append(name)
    return dict(based)
