"""Deleting a guest, and of its disks exactly those that were named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from pydantic import Field

from dashboard.accounts import grants
from dashboard.guests.disks import disks_of
from dashboard.guests.operations.common import NEEDS_OFF, by_state, first_of, persistent_only, virsh, virsh_word
from dashboard.inventory.models import Guest, Volume
from dashboard.jobs.errors import Failed
from dashboard.jobs.operation import Many, Need, Operation, Params, Step, Text, register
from dashboard.virt import change, power, storage
from dashboard.virt.errors import VirtError
from dashboard.virt.facts import GuestState

if TYPE_CHECKING:
    from dashboard.accounts.models import User
    from dashboard.jobs.context import Context


class DeleteParams(Params):
    """The guest's name, typed again, and the paths of the disks to delete with it; no other disk is touched."""

    name: str
    volumes: tuple[str, ...] = ()


class DeleteManyParams(Params):
    """What becomes of the disks of many; nothing but the machines is deleted unless it is said."""

    disks: Literal["keep", "own"] = Field(
        default="keep",
        title=gettext_noop("Their disks"),
        json_schema_extra={
            "x-labels": {
                "keep": gettext_noop("Keep all disks"),
                "own": gettext_noop("Delete the disks that only the machine itself uses"),
            }
        },
    )


def _each(guest: Guest, params: DeleteManyParams) -> dict[str, Any]:
    """For one of many: its name, whose stead the number takes that was typed, and the disks that no other guest uses."""
    own = [disk.path for disk in disks_of(guest) if not disk.stays] if params.disks == "own" else []
    return {"name": guest.name.strip(), "volumes": own}


def _check(user: User, guest: Guest, params: DeleteParams) -> dict[str, list[Text]]:
    errors: dict[str, list[Text]] = {}
    if params.name != guest.name.strip():
        errors["name"] = [_("This is not its name.")]
    stays = {disk.path: disk.stays for disk in disks_of(guest, user)}
    wrong: list[Text] = []
    for path in params.volumes:
        why = stays.get(path, gettext("It is no disk of this machine."))
        if why:
            wrong.append(gettext("%(path)s: %(why)s") % {"path": path, "why": why})
    if wrong:
        errors["volumes"] = wrong
    return errors


def _plan(guest: Guest, params: DeleteParams) -> dict[str, Any]:
    """The volumes by path, as the mirror knows them now: the guest's row is gone when they are deleted."""
    found = {disk.path: disk for disk in disks_of(guest)}
    volumes = Volume.objects.filter(pool__host_id=guest.host_id).select_related("pool")
    plan = []
    for path in params.volumes:
        disk = found[path]
        volume = volumes.filter(pool__name=disk.pool, name=disk.volume).first()
        if volume:
            plan.append({"path": volume.path, "pool": str(volume.pool.uuid), "name": volume.name})
    return {"volumes": plan, "name": guest.name}


def _undefine(context: Context) -> None:
    """Check once more that it is off, then remove the definition with all that only it uses."""
    try:
        if power.state(context.conn, context.uuid)[0] != GuestState.SHUTOFF:
            raise Failed(_("It is running again: shut it down first."), code="state")
        change.undefine(context.conn, context.uuid)
    except VirtError as error:
        if error.code != "not_found":
            raise
    if context.host is not None:
        grants.forget_guest(context.host.pk, context.uuid)
    context.ask("guest", context.uuid)


KEPT = gettext_noop("%(path)s could not be deleted: %(why)s")
IN_USE = gettext_noop("%(path)s was kept: %(names)s uses it.")


def _delete_volumes(context: Context) -> None:
    """Delete each named volume; one that resists is named and does not keep the others."""
    volumes: list[dict[str, str]] = context.plan["volumes"]
    paths = {volume["path"] for volume in volumes}
    users = storage.guests_using(context.conn, paths)
    # The mirror's look at volumes may be a minute old: one made on top since then would be destroyed.
    layers = {path: set(tops) for path, tops in storage.layers_on(context.conn, paths).items()}
    deleted: set[str] = set()
    for done, volume in enumerate(sorted(volumes, key=lambda one: one["path"] in layers)):
        context.progress(done / len(volumes), volume["name"])
        path = volume["path"]
        if users.get(path):
            context.leftover(IN_USE, path=path, names=", ".join(name for _uuid, name in users[path]))
            continue
        if tops := layers.get(path, set()) - deleted:
            context.leftover(IN_USE, path=path, names=", ".join(sorted(tops)))
            continue
        try:
            storage.delete_volume(context.conn, path)
        except VirtError as error:
            if error.code == "unreachable":
                raise
            context.leftover(KEPT, path=path, why=error.detail or error.message)
        else:
            deleted.add(path)
            context.log(gettext_noop("Deleted %(path)s"), path=path)
    for pool in {volume["pool"] for volume in volumes}:
        context.ask("volumes", pool)
    if context.job.leftovers:
        raise Failed(_("The machine is deleted; not all of the chosen disks are."), code="in_use")


def _line(guest: Guest, params: DeleteParams) -> str:
    lines = [
        virsh(
            "undefine", virsh_word(guest), "--nvram", "--managed-save", "--snapshots-metadata", "--checkpoints-metadata"
        )
    ]
    lines += [virsh("vol-delete", path) for path in params.volumes]
    return "\n".join(lines)


register(
    Operation(
        name="guest.delete",
        label=_("Delete"),
        permission="guest.delete",
        target="guest",
        params=DeleteParams,
        many=Many(DeleteManyParams, _each, typed=True),
        refuse=first_of(by_state(NEEDS_OFF), persistent_only),
        check=_check,
        reserve=lambda user, guest, params: Need(guests=-1),
        plan=_plan,
        steps=[
            Step("undefine", _("Delete the machine's definition"), _undefine),
            Step("volumes", _("Delete the chosen disks"), _delete_volumes, deadline=1800),
        ],
        virsh=_line,
        queue="slow",
        outlives_target=True,
        confirm=_("The machine is deleted. Of its disks, only those that you choose are deleted with it."),
        icon="trash-2",
        extra={"danger": True},
    )
)
