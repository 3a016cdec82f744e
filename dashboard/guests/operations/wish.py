"""What a new guest may be: its parameters, and every check of them, for the form as one types and for the operation."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from pydantic import Field, ValidationError

from dashboard.guests.disks import FIXED_POOLS, SHARED_POOLS, attachable, used_by
from dashboard.guests.operations.describe import GoodName, GoodTitle, name_taken
from dashboard.inventory.models import Host, Network, Pool, Volume
from dashboard.jobs import quotas
from dashboard.jobs.operation import Need, Params, Text
from dashboard.jobs.wording import plain_errors
from dashboard.live.formats import bytes_text

if TYPE_CHECKING:
    from dashboard.accounts.models import User

GIB = 1024**3
MAX_VCPUS = 255
RAW_ONLY_POOLS = {"logical", "disk", "rbd", "zfs"}
"""Kinds of pools whose volumes are block devices or objects: there is no file that could be qcow2."""
FULL_SIZE_POOLS = {"logical", "disk", "zfs"}
"""Kinds of pools where a volume takes its whole size at once."""
KNOWN_ENDINGS = {".qcow2": "qcow2", ".raw": "raw"}
PLAIN = {"", "raw", "iso", "unknown", "none"}
"""What libvirt's probe says of bytes that have no image header."""


class CreateParams(Params):
    """A new guest. Sizes in GiB and MiB; pools, volumes and networks by their name on the host."""

    name: GoodName
    title: GoodTitle = ""
    source: Literal["iso", "image", "none"] = "iso"
    source_pool: str = ""
    source_volume: str = ""
    image_format: Literal["", "raw", "qcow2"] = ""
    vcpus: int = Field(default=2, ge=1, le=MAX_VCPUS)
    memory_mib: int = Field(default=2048, ge=16, le=16 * 1024 * 1024)
    disk_gib: int = Field(default=20, ge=0, le=1024 * 1024)
    disk_format: Literal["qcow2", "raw"] = "qcow2"
    disk_pool: str = ""
    network: str = ""
    virt: Literal["auto", "kvm", "qemu"] = "auto"
    firmware: Literal["bios", "efi"] = "bios"
    start_now: bool = True

    @property
    def makes_disk(self) -> bool:
        """Whether a new volume is made; an existing image is attached as it is."""
        return self.source != "image" and self.disk_gib > 0

    @property
    def need(self) -> Need:
        """What it takes of quotas. An image that is there already was made by somebody else."""
        return Need(
            guests=1,
            vcpus=self.vcpus,
            memory_kib=self.memory_mib * 1024,
            disk_bytes=self.disk_gib * GIB if self.makes_disk else 0,
            fields={"vcpus": "vcpus", "memory_kib": "memory_mib", "disk_bytes": "disk_gib"},
        )


class Wish:
    """Parameters beside the mirror of the host that they name things of."""

    def __init__(self, host: Host, params: CreateParams, user: User | None = None) -> None:
        self.host = host
        self.params = params
        self.user = user
        """Who is told what is wrong with it."""

    @cached_property
    def source(self) -> Volume | None:
        """The ISO or image."""
        volumes = Volume.objects.select_related("pool").filter(pool__host=self.host, pool__name=self.params.source_pool)
        return volumes.filter(name=self.params.source_volume).first()

    @property
    def out_of_reach(self) -> bool:
        """Whether the image is none that this person may attach, or none at all, which they are told in the same words."""
        if self.params.source != "image" or self.user is None:
            return False
        reach = attachable(self.host, self.user)
        if not reach:
            return False
        return self.source is None or not Volume.objects.filter(reach, pk=self.source.pk).exists()

    @cached_property
    def pool(self) -> Pool | None:
        """The pool of the new disk."""
        return Pool.objects.filter(host=self.host, name=self.params.disk_pool).first()

    @cached_property
    def network(self) -> Network | None:
        """The network."""
        return Network.objects.filter(host=self.host, name=self.params.network).first()

    @property
    def virt(self) -> Literal["kvm", "qemu"]:
        """How it runs: what was chosen, or the better of what works."""
        if self.params.virt != "auto":
            return self.params.virt
        return "kvm" if self.host.kvm else "qemu"

    @property
    def image_format(self) -> str:
        """The image's format: kvmweb's record, else a known ending that libvirt's probe confirms, else what was chosen."""
        return known_format(self.source) or self.params.image_format if self.source else self.params.image_format


def known_format(volume: Volume) -> str:
    """The format in which a volume may be attached without asking; "" where only a probe says it.

    A guest can write another format's header into its raw disk, so that a probe alone would let it read the host's files.
    """
    if volume.made_format:
        return volume.made_format
    if volume.kind == "block" or volume.pool.kind in RAW_ONLY_POOLS:
        return "raw"
    ending = next((known for end, known in KNOWN_ENDINGS.items() if volume.name.lower().endswith(end)), "")
    return ending if ending and _agrees(ending, volume.format) else ""


def _agrees(wanted: str, probed: str) -> bool:
    return probed in PLAIN if wanted == "raw" else probed == wanted


def _live(wish: Wish) -> Text | None:
    return None if wish.host.status == Host.Status.LIVE else _("This host does not answer at present.")


def _name(wish: Wish) -> Text | None:
    return name_taken(wish.host.pk, wish.params.name)


def _source(wish: Wish) -> Text | None:
    params = wish.params
    if params.source == "none":
        return None
    if not params.source_volume:
        return _("Choose an ISO.") if params.source == "iso" else _("Choose a disk image.")
    if wish.out_of_reach:
        return _(
            "Only who sees this host's storage and all its machines attaches disks that others made: one may hold what is"
            " left of a machine of theirs."
        )
    if wish.source is None:
        return _("The host has no such volume (any more).")
    if wish.source.pool.state != "running":
        return _("Its storage pool is not active: start the pool first.")
    found = _iso(wish.source) if params.source == "iso" else _image(wish.source)
    return _used(wish.source, wish.user, media=params.source == "image") or found


def _used(volume: Volume, reader: User | None, *, media: bool) -> Text | None:
    """Whose disk it is: it is neither attached twice nor read as a medium by who has nothing to do with its guest."""
    everywhere = volume.pool.kind in SHARED_POOLS
    host = None if everywhere else volume.pool.host_id
    users = used_by(host, [volume.path], reader=reader, media=media).get(volume.path)
    return gettext("It is the disk of %(names)s already.") % {"names": ", ".join(users)} if users else None


def is_iso(volume: Volume) -> bool:
    """Whether it may be offered as a medium: it looks like one, and nobody made it as a disk."""
    looks = volume.format == "iso" or volume.name.lower().endswith(".iso")
    return looks and volume.format in PLAIN and not volume.made_format


def _iso(volume: Volume) -> Text | None:
    return None if is_iso(volume) else _("This is a disk image, not an ISO.")


def _image(volume: Volume) -> Text | None:
    if volume.format == "iso":
        return _("This is an ISO: choose it as installation medium.")
    if Volume.objects.filter(pool__host_id=volume.pool.host_id, backing=volume.path).exists():
        return _("Other images are based on it: writing to it would destroy them.")
    if volume.backing and not Volume.objects.filter(pool__host_id=volume.pool.host_id, path=volume.backing).exists():
        return gettext("It is based on %(path)s, which is in no pool of this host.") % {"path": volume.backing}
    return None


def _image_format(wish: Wish) -> Text | None:
    if wish.params.source != "image" or wish.source is None:
        return None
    volume, chosen = wish.source, wish.params.image_format
    if volume.made_format and not _agrees(volume.made_format, volume.format):
        return gettext(
            "It was made as %(made)s and looks like %(probed)s now: do not use it before somebody has looked at it."
        ) % {
            "made": volume.made_format,
            "probed": volume.format,
        }
    known = known_format(volume)
    if known:
        return None if chosen in {"", known} else gettext("It is %(format)s.") % {"format": known}
    if not chosen:
        return _(
            "Choose its format: kvmweb did not make this image, and its header could have been forged from inside a guest."
        )
    if not _agrees(chosen, volume.format):
        return gettext("It looks like %(format)s.") % {"format": volume.format or "raw"}
    return None


def _memory(wish: Wish) -> Text | None:
    host_mib = wish.host.memory_kib // 1024
    if host_mib and wish.params.memory_mib > host_mib:
        return gettext("The host has only %(mib)d MiB.") % {"mib": host_mib}
    return None


def _disk_pool(wish: Wish) -> Text | None:
    if not wish.params.makes_disk:
        return None
    if not wish.params.disk_pool:
        return _("Choose a storage pool.")
    if wish.pool is None:
        return _("The host has no such pool (any more).")
    if wish.pool.state != "running":
        return _("This pool is not active: start it first.")
    if wish.pool.kind in FIXED_POOLS:
        return _("Volumes of this pool are made on the storage system, not here.")
    return None


def _disk_format(wish: Wish) -> Text | None:
    if wish.params.makes_disk and wish.pool and wish.pool.kind in RAW_ONLY_POOLS and wish.params.disk_format != "raw":
        return _("This pool can hold raw disks only.")
    return None


def _disk_size(wish: Wish) -> Text | None:
    if not wish.params.makes_disk or wish.pool is None:
        return None
    wanted, pool = wish.params.disk_gib * GIB, wish.pool
    if pool.kind in FULL_SIZE_POOLS and wanted > pool.available:
        return gettext("The pool has %(free)s free.") % {"free": bytes_text(pool.available)}
    if wanted > pool.capacity:
        return gettext("The whole pool holds %(size)s.") % {"size": bytes_text(pool.capacity)}
    return None


def _network(wish: Wish) -> Text | None:
    if not wish.params.network:
        return None
    if wish.network is None:
        return _("The host has no such network (any more).")
    if not wish.network.active and wish.params.start_now:
        return _("This network is not active: start it first, or choose another.")
    return None


def _virt(wish: Wish) -> Text | None:
    if wish.params.virt == "kvm" and not wish.host.kvm:
        return _("This host has no working hardware virtualization.")
    return None


def _firmware(wish: Wish) -> Text | None:
    offered = wish.host.facts.get("firmwares")
    if offered and wish.params.firmware not in offered:
        return _("This host has no such firmware.")
    return None


def _many_vcpus(wish: Wish) -> Text | None:
    if wish.host.cpus and wish.params.vcpus > wish.host.cpus:
        return gettext("More than the host's %(cpus)d CPUs: it will be slow.") % {"cpus": wish.host.cpus}
    return None


def _little_memory(wish: Wish) -> Text | None:
    free = wish.host.memory_free_kib // 1024
    if free and _memory(wish) is None and wish.params.memory_mib > free:
        return gettext("Only %(mib)d MiB are free at present: the host may swap.") % {"mib": free}
    return None


def _overcommitted(wish: Wish) -> Text | None:
    if (
        wish.params.makes_disk
        and wish.pool
        and _disk_size(wish) is None
        and wish.params.disk_gib * GIB > wish.pool.available
    ):
        return gettext(
            "The pool has %(free)s free: the disk grows as it is used, and cannot grow to its full size."
        ) % {"free": bytes_text(wish.pool.available)}
    return None


def _sleeping_network(wish: Wish) -> Text | None:
    if wish.network and not wish.network.active and not wish.params.start_now:
        return _("This network is not active: the machine cannot start before it is.")
    return None


@dataclass(frozen=True)
class Check:
    """One rule: the field that it marks, the fields that must be usable for it, and what is wrong or None."""

    field: str
    find: Callable[[Wish], Text | None]
    needs: Collection[str] = ()


_DISK = ("source", "disk_gib", "disk_pool")
ERRORS = (
    Check("host", _live),
    Check("name", _name, ("name",)),
    Check("source_volume", _source, ("source", "source_pool", "source_volume")),
    Check("image_format", _image_format, ("source", "source_pool", "source_volume", "image_format")),
    Check("memory_mib", _memory, ("memory_mib",)),
    Check("disk_pool", _disk_pool, _DISK),
    Check("disk_format", _disk_format, (*_DISK, "disk_format")),
    Check("disk_gib", _disk_size, _DISK),
    Check("network", _network, ("network", "start_now")),
    Check("virt", _virt, ("virt",)),
    Check("firmware", _firmware, ("firmware",)),
)
WARNINGS = (
    Check("vcpus", _many_vcpus, ("vcpus",)),
    Check("memory_mib", _little_memory, ("memory_mib",)),
    Check("disk_gib", _overcommitted, _DISK),
    Check("network", _sleeping_network, ("network", "start_now")),
)


@dataclass
class Findings:
    """What was found: errors and warnings by field, and the parameters when all of them are at least readable."""

    errors: dict[str, list[str]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    params: CreateParams | None = None
    need: Need = field(default_factory=Need)
    """What it takes of quotas, as far as it can be read."""


def examine(host: Host, values: dict[str, Any], user: User) -> Findings:
    """Check what was typed so far: a field that cannot be read keeps only its own checks back."""
    found = Findings()
    try:
        found.params = CreateParams.model_validate(values)
        wish = Wish(host, found.params, user)
    except ValidationError as error:
        found.errors = plain_errors(error)
        readable = {
            key: value for key, value in values.items() if key in CreateParams.model_fields and key not in found.errors
        }
        wish = Wish(host, _partly(readable), user)
    found.need = wish.params.need
    unreadable = set(found.errors)
    for finds in (run(ERRORS, wish, unreadable), quotas.refusals(user, found.need)):
        for key in finds.keys() - unreadable:
            found.errors.setdefault(key, []).extend(finds[key])
    found.warnings = run(WARNINGS, wish, found.errors)
    return found


def _partly(readable: dict[str, Any]) -> CreateParams:
    """Parameters of the readable values, with a stand-in for a name that is not."""
    return CreateParams.model_validate({"name": "unnamed", **readable})


def run(checks: tuple[Check, ...], wish: Wish, unreadable: Collection[str] = ()) -> dict[str, list[str]]:
    """What the checks find, by field; those that need an unreadable field are left out."""
    found: dict[str, list[str]] = {}
    for check in checks:
        if set(check.needs).isdisjoint(unreadable) and (sentence := check.find(wish)):
            found.setdefault(check.field, []).append(str(sentence))
    return found
