"""Making a guest: its volume, its definition, its start. Interrupted or failing anywhere, nothing of it stays."""

from __future__ import annotations

import secrets
import time
import uuid
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from dashboard.accounts import grants
from dashboard.guests.operations.common import virsh
from dashboard.guests.operations.wish import ERRORS, GIB, CreateParams, Wish, run
from dashboard.inventory import clocks
from dashboard.inventory.models import Guest, Host, Pool, Volume
from dashboard.jobs import quotas
from dashboard.jobs.errors import Failed
from dashboard.jobs.operation import Operation, Step, Text, register
from dashboard.virt import change, power, storage
from dashboard.virt.errors import VirtError
from dashboard.virt.xml.create import NewDisk, NewGuest, NewNic, new_domain

if TYPE_CHECKING:
    from dashboard.accounts.models import User
    from dashboard.jobs.context import Context

BLOCK_POOLS = {"logical", "disk", "zfs"}
"""Kinds of pools whose volumes are block devices of the host; a "dir" pool's are files."""
FILE_POOLS = {"dir", "fs", "netfs", "vstorage"}
STILL_MADE = 240.0
"""Seconds that libvirt may go on making a volume for a worker that has died; less than the deadline of a step."""


def _check(user: User, host: Host, params: CreateParams) -> dict[str, list[Text]]:
    wrong = run(ERRORS, Wish(host, params, user))
    found: dict[str, list[Text]] = {field: list(texts) for field, texts in wrong.items()}
    for field, texts in quotas.refusals(user, params.need).items():
        found.setdefault(field, []).extend(texts)
    return found


def _plan(host: Host, params: CreateParams) -> dict[str, Any]:
    """All that is fixed before anything is made: doing a step twice then makes the same thing, and undo knows its own."""
    wish = Wish(host, params)
    plan: dict[str, Any] = {"uuid": str(uuid.uuid4()), "mac": _free_mac(host), "virt": wish.virt}
    if params.makes_disk and wish.pool:
        ending = "qcow2" if params.disk_format == "qcow2" else "img"
        name = f"{params.name[:50].rstrip('.')}-{secrets.token_hex(4)}"
        in_files = wish.pool.kind in FILE_POOLS
        plan["volume"] = f"{name}.{ending}" if in_files else name
        plan["pool"] = {"uuid": str(wish.pool.uuid), "kind": wish.pool.kind}
    if params.source != "none" and wish.source:
        plan["source"] = {
            "path": wish.source.path,
            "kind": wish.source.kind,
            "pool": wish.source.pool.name,
            "volume": wish.source.name,
            "format": wish.image_format if params.source == "image" else "raw",
        }
    return plan


def _free_mac(host: Host) -> str:
    """A MAC of QEMU's own range that no guest of this host has."""
    while True:
        mac = "52:54:00:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
        if not Guest.objects.filter(host=host, xml__icontains=mac).exists():
            return mac


def _make_volume(context: Context) -> None:
    """Make the disk. What an interrupted run of this step left is empty still: it goes first."""
    params, plan = context.params, context.plan
    if not params.makes_disk:
        return
    if plan.get("volume_begun"):
        _delete_ours(context)
    elif storage.volume_exists(context.conn, params.disk_pool, plan["volume"]):
        raise Failed(_("The pool has a volume of this name already: %(name)s"), code="exists", name=plan["volume"])
    context.keep(volume_begun=True)
    began = time.time()
    path = storage.create_volume(
        context.conn,
        params.disk_pool,
        name=plan["volume"],
        capacity=params.disk_gib * GIB,
        format=params.disk_format,
    )
    context.keep(volume_path=path)
    _compare_clocks(context, path, began)
    _record_format(context, path)
    context.log(gettext_noop("Made %(path)s"), path=path)
    context.ask("volumes", plan["pool"]["uuid"])


def _compare_clocks(context: Context, path: str, began: float) -> None:
    """A file that was made just now tells what time it is on its host; libvirt has no other way to ask."""
    if context.host is not None and context.plan["pool"]["kind"] in ("dir", "fs"):
        told = storage.changed_at(context.conn, path)
        if told is not None:
            clocks.note_host(context.host, told, began)


def _record_format(context: Context, path: str) -> None:
    """Write down with which format it was made: later nobody has to believe what its bytes look like."""
    pool = Pool.objects.filter(host=context.host, name=context.params.disk_pool).first()
    if pool is not None:
        made = context.params.disk_format
        facts = {"made_format": made, "format": made, "path": path, "capacity": context.params.disk_gib * GIB}
        Volume.objects.update_or_create(pool=pool, name=context.plan["volume"], defaults={**facts, "kind": "file"})


def _delete_volume(context: Context) -> None:
    if context.plan.get("volume_begun"):
        _delete_ours(context)
        context.ask("volumes", context.plan["pool"]["uuid"])


def _delete_ours(context: Context) -> None:
    """Delete its volume. libvirt may still be making it, for a worker that has died since: that ends first."""

    def gone() -> bool:
        try:
            storage.delete_volume_named(context.conn, context.params.disk_pool, context.plan["volume"])
        except VirtError as error:
            if error.code != "busy":
                raise
            return False
        return True

    if not context.wait(STILL_MADE, gone):
        raise VirtError("busy", f"volume {context.plan['volume']} is still being made")


def _define(context: Context) -> None:
    context.keep(define_begun=True)
    change.define(context.conn, new_domain(_spec(context)))
    if context.job.created_by is not None and context.host is not None:
        grants.give_to_maker(context.job.created_by, context.host.pk, context.plan["uuid"])
    context.result(uuid=context.plan["uuid"], name=context.params.name)
    context.ask("guest", context.plan["uuid"])


def _spec(context: Context) -> NewGuest:
    params, plan = context.params, context.plan
    iso = plan["source"]["path"] if params.source == "iso" else None
    return NewGuest(
        uuid=plan["uuid"],
        name=params.name,
        title=params.title,
        vcpus=params.vcpus,
        memory_kib=params.memory_mib * 1024,
        virt=plan["virt"],
        firmware=params.firmware,
        disks=tuple(_disks(context)),
        cdrom=iso,
        nics=(NewNic(source=params.network, mac=plan["mac"]),) if params.network else (),
        job=str(context.job.pk),
    )


def _disks(context: Context) -> list[NewDisk]:
    params, plan = context.params, context.plan
    if params.source == "image":
        source = plan["source"]
        if source["kind"] == "network":
            return [NewDisk(format=source["format"], pool=source["pool"], volume=source["volume"])]
        return [NewDisk(format=source["format"], path=source["path"], block=source["kind"] == "block")]
    if not params.makes_disk:
        return []
    kind = plan["pool"]["kind"]
    if kind in FILE_POOLS | BLOCK_POOLS:
        return [NewDisk(format=params.disk_format, path=plan["volume_path"], block=kind in BLOCK_POOLS)]
    return [NewDisk(format=params.disk_format, pool=params.disk_pool, volume=plan["volume"])]


def _undefine(context: Context) -> None:
    """Take the definition back, if it is this job's, and what was granted to its maker."""
    if context.plan.get("define_begun") and context.host is not None:
        grants.forget_guest(context.host.pk, context.plan["uuid"])
    if not context.plan.get("define_begun") or not _ours(context):
        return
    change.undefine(context.conn, context.plan["uuid"])
    context.ask("guest", context.plan["uuid"])


def _ours(context: Context) -> bool:
    try:
        return change.job_of(context.conn, context.plan["uuid"]) == str(context.job.pk)
    except VirtError as error:
        if error.code == "not_found":
            return False
        raise


def _start(context: Context) -> None:
    if context.params.start_now:
        power.start(context.conn, context.plan["uuid"])
    if context.params.makes_disk:  # once more: the mirror may have been compared with what was there before the disk
        _record_format(context, context.plan["volume_path"])


def _stop(context: Context) -> None:
    if context.params.start_now and _ours(context):
        power.destroy(context.conn, context.plan["uuid"])


def _lines(host: Host, params: CreateParams) -> str:
    """The file that is defined is what the guest's XML page shows."""
    lines = []
    if params.makes_disk:
        words = ["vol-create-as", params.disk_pool, f"{params.name}.{params.disk_format}", f"{params.disk_gib}GiB"]
        lines.append(virsh(*words, "--format", params.disk_format))
    lines.append(virsh("define", f"{params.name}.xml"))
    if params.start_now:
        lines.append(virsh("start", params.name))
    return "\n".join(lines)


register(
    Operation(
        name="guest.create",
        label=_("Create virtual machine"),
        permission="guest.create",
        target="host",
        params=CreateParams,
        check=_check,
        reserve=lambda user, host, params: params.need,
        plan=_plan,
        # Several may be made on one host at the same time, but not two of one name.
        lock_for=lambda host, params: f"guest-name:{host.pk}:{params.name}",
        steps=[
            Step("volume", _("Make its disk"), _make_volume, _delete_volume),
            Step("define", _("Define it"), _define, _undefine),
            Step("start", _("Start it"), _start, _stop),
        ],
        virsh=_lines,
        queue="slow",  # storage may take its time, or hang: what is quick does not wait behind it
        cancellable=True,
        icon="plus",
    )
)
