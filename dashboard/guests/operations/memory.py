"""A guest's memory on disk: save it, restore it, discard it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from dashboard.guests.operations.common import (
    NEEDS_ACTIVE,
    by_state,
    first_of,
    persistent_only,
    virsh_on_guest,
)
from dashboard.inventory.credentials import spec_for
from dashboard.inventory.models import Guest
from dashboard.jobs.errors import Cancelled
from dashboard.jobs.operation import Many, Operation, Step, Text, register
from dashboard.virt import pool, power
from dashboard.virt.errors import VirtError
from dashboard.virt.facts import GuestState
from dashboard.virt.uri import HostSpec

if TYPE_CHECKING:
    from dashboard.jobs.context import Context

SAVE_SECONDS = 6 * 3600
NOTHING_SAVED = _("It has no saved memory.")


def _refuse_restore(guest: Guest, params: Any) -> Text | None:
    if guest.state != GuestState.SHUTOFF:
        return _("It is running: only a machine that is off can be restored.")
    return None if guest.saved else NOTHING_SAVED


def _refuse_discard(guest: Guest, params: Any) -> Text | None:
    return None if guest.saved else NOTHING_SAVED


class _Saving(threading.Thread):
    """libvirt's call, which returns when all memory is written; meanwhile the step watches and may end it."""

    def __init__(self, spec: HostSpec, uuid: str) -> None:
        super().__init__(name="guest-save", daemon=True)
        self.spec, self.uuid = spec, uuid
        self.error: VirtError | None = None

    def run(self) -> None:
        try:
            with pool.borrow(self.spec) as connection:
                power.save(connection, self.uuid)
        except VirtError as error:
            self.error = error


def _written(context: Context) -> float | None:
    """How far libvirt is; None without a job on the guest."""
    try:
        return power.progress(context.conn, context.uuid)
    except VirtError as error:
        if error.code in {"state", "not_found", "busy"}:
            return None
        raise


def _save(context: Context) -> None:
    """Save, or wait for the save that a worker which is gone had begun, then look."""
    assert context.host is not None  # noqa: S101 - the operation's target has one
    context.wait(SAVE_SECONDS, lambda: _written(context) is None)
    saving = _Saving(spec_for(context.host), context.uuid)
    saving.start()

    def done() -> bool:
        context.progress(_written(context))
        return not saving.is_alive()

    try:
        context.wait(SAVE_SECONDS, done, every=0.2)
    except Cancelled:
        power.abort(context.conn, context.uuid)
        saving.join(30)
        raise
    if saving.error:
        raise saving.error


def _restore(context: Context) -> None:
    power.start(context.conn, context.uuid, paused=False)


def _discard(context: Context) -> None:
    power.discard_saved(context.conn, context.uuid)
    context.ask("guest", context.uuid)


register(
    Operation(
        name="guest.save",
        label=_("Save to disk"),
        permission="guest.power",
        target="guest",
        many=Many(),
        refuse=first_of(
            by_state(
                {
                    **NEEDS_ACTIVE,
                    "stopping": _("It is shutting down."),
                    "crashed": _("It has crashed: force it off, then start it."),
                    "suspended": _("It is suspended: wake it first."),
                }
            ),
            persistent_only,
        ),
        steps=[Step("save", _("Write its memory to disk and stop it"), _save, deadline=SAVE_SECONDS)],
        virsh=virsh_on_guest("managedsave"),
        queue="slow",
        cancellable=True,
        icon="moon",
    )
)

register(
    Operation(
        name="guest.restore",
        label=_("Restore"),
        permission="guest.power",
        target="guest",
        many=Many(),
        refuse=_refuse_restore,
        steps=[Step("restore", _("Read its memory from disk and let it run on"), _restore, deadline=SAVE_SECONDS)],
        virsh=virsh_on_guest("start"),
        queue="slow",
        icon="play",
    )
)

register(
    Operation(
        name="guest.discard_saved",
        label=_("Discard saved state"),
        permission="guest.power",
        target="guest",
        many=Many(),
        refuse=_refuse_discard,
        steps=[Step("discard", _("Delete the saved memory"), _discard)],
        virsh=virsh_on_guest("managedsave-remove"),
        confirm=_("The memory saved on disk is deleted: the machine then starts as after a power cut."),
        icon="trash-2",
        extra={"danger": True},
    )
)
