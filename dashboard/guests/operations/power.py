"""The power switch: start, shut down, reboot, reset, force off, pause, resume, NMI."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from pydantic import Field

from dashboard.guests.operations.common import (
    NEEDS_ACTIVE,
    NEEDS_OFF,
    NEEDS_PAUSED,
    NEEDS_RUNNING,
    by_state,
    nothing_saved,
    virsh,
    virsh_on_guest,
    virsh_word,
)
from dashboard.inventory import clocks
from dashboard.inventory.models import Guest
from dashboard.jobs.errors import Failed
from dashboard.jobs.operation import Many, NoParams, Operation, Params, Step, Text, register
from dashboard.virt import power
from dashboard.virt.errors import VirtError
from dashboard.virt.facts import GuestState

if TYPE_CHECKING:
    from dashboard.jobs.context import Context

SHUTDOWN_DEADLINE = 60
"""Seconds that a guest gets to stop by itself before force off is offered."""
POLL_SECONDS = 0.5
STILL_RUNNING = gettext_noop(
    "It is still running: it did not react to the request to shut down. Give it more time, or force it off."
)


class StartParams(Params):
    """How to start."""

    paused: bool = Field(default=False, title=gettext_noop("Start with its CPUs stopped"))


class ShutdownParams(Params):
    """How to ask the guest to stop, and how long to wait for it."""

    mode: Literal["auto", "acpi", "agent"] = "auto"
    deadline: int = Field(default=SHUTDOWN_DEADLINE, ge=5, le=3600, title=gettext_noop("Seconds to wait"))


def _refuse_start(guest: Guest, params: StartParams | None) -> Text | None:
    if guest.state == GuestState.SHUTOFF:
        return nothing_saved(guest, params)
    return {
        "running": _("It is running already."),
        "paused": _("It is paused: resume it instead."),
        "crashed": _("It has crashed and still holds its memory: force it off first."),
    }.get(guest.state, NEEDS_OFF.get(guest.state))


def _refuse_shutdown(guest: Guest, params: ShutdownParams | None) -> Text | None:
    if guest.state == GuestState.SHUTOFF:
        return _("It is off already.")
    if guest.state != GuestState.RUNNING:
        return NEEDS_RUNNING[guest.state]
    if params and params.mode == "agent" and not guest.facts.get("agent_connected"):
        return _("Its guest agent does not answer: shut it down by ACPI.")
    return None


def _start(context: Context) -> None:
    power.start(context.conn, context.uuid, paused=context.params.paused)


def _ask_to_stop(context: Context) -> None:
    mode = context.params.mode
    context.keep(asked_at=context.plan.get("asked_at") or clocks.database_time())
    power.shutdown(context.conn, context.uuid, mode="" if mode == "auto" else mode)


def is_off(context: Context) -> bool:
    """Whether the guest has stopped; a temporary one that is gone has."""
    try:
        return power.state(context.conn, context.uuid)[0] == GuestState.SHUTOFF
    except VirtError as error:
        if error.code == "not_found":
            return True
        raise


def _wait_until_off(context: Context) -> None:
    """Wait for the guest; after the deadline the job fails and offers to force it off."""
    # On the database's clock, since another worker may have asked; from here on this one's own will do.
    seconds = int(context.params.deadline)
    passed = max(0.0, clocks.database_time() - float(context.plan["asked_at"]))
    end = time.monotonic() + max(0.0, seconds - passed)

    def looked() -> bool:
        context.progress(1 - max(0.0, end - time.monotonic()) / seconds)
        return is_off(context)

    if not context.wait(max(0.0, end - time.monotonic()), looked, POLL_SECONDS):
        context.result(offer="guest.force_off")
        raise Failed(STILL_RUNNING, code="timeout")


def _nmi(context: Context) -> None:
    if not context.plan.get("sent"):
        power.nmi(context.conn, context.uuid)
        context.keep(sent=True)


def _reset(context: Context) -> None:
    if not context.plan.get("sent"):
        power.reset(context.conn, context.uuid)
        context.keep(sent=True)


def _reboot(context: Context) -> None:
    if not context.plan.get("sent"):
        power.reboot(context.conn, context.uuid)
        context.keep(sent=True)


def _start_line(guest: Guest, params: StartParams) -> str:
    return virsh("start", virsh_word(guest), *(["--paused"] if params.paused else []))


def _shutdown_line(guest: Guest, params: ShutdownParams) -> str:
    return virsh("shutdown", virsh_word(guest), *([] if params.mode == "auto" else ["--mode", params.mode]))


def _resume_line(guest: Guest, params: NoParams) -> str:
    return virsh("dompmwakeup" if guest.state == GuestState.SUSPENDED else "resume", virsh_word(guest))


register(
    Operation(
        name="guest.start",
        label=_("Start"),
        permission="guest.power",
        target="guest",
        many=Many(),
        params=StartParams,
        refuse=_refuse_start,
        steps=[Step("start", _("Start the machine"), _start)],
        virsh=_start_line,
        icon="play",
    )
)

register(
    Operation(
        name="guest.shutdown",
        label=_("Shut down"),
        permission="guest.power",
        target="guest",
        many=Many(),
        params=ShutdownParams,
        refuse=_refuse_shutdown,
        steps=[
            Step("ask", _("Ask the guest to shut down"), _ask_to_stop),
            Step("wait", _("Wait until it is off"), _wait_until_off, deadline=3700),
        ],
        virsh=_shutdown_line,
        # While one waits for a guest that does not listen, somebody may pause it, or force it off.
        locks=False,
        cancellable=True,
        icon="power",
    )
)

register(
    Operation(
        name="guest.reboot",
        label=_("Reboot"),
        permission="guest.power",
        target="guest",
        many=Many(),
        refuse=by_state(NEEDS_RUNNING),
        steps=[Step("reboot", _("Ask the guest to reboot"), _reboot)],
        virsh=virsh_on_guest("reboot"),
        icon="rotate-cw",
    )
)

register(
    Operation(
        name="guest.reset",
        label=_("Reset"),
        permission="guest.power",
        target="guest",
        many=Many(),
        refuse=by_state({state: why for state, why in NEEDS_RUNNING.items() if state not in {"paused", "suspended"}}),
        steps=[Step("reset", _("Press the reset button"), _reset)],
        virsh=virsh_on_guest("reset"),
        confirm=_("The machine restarts at once, without shutting down: whatever it has not written to disk is lost."),
        icon="zap",
        extra={"danger": True},
    )
)

register(
    Operation(
        name="guest.force_off",
        label=_("Force off"),
        permission="guest.power",
        target="guest",
        many=Many(),
        refuse=by_state(NEEDS_ACTIVE),
        steps=[Step("off", _("Cut the power"), lambda context: power.destroy(context.conn, context.uuid))],
        virsh=virsh_on_guest("destroy"),
        # The emergency brake: it must work while another job waits or hangs.
        locks=False,
        confirm=_("The power is cut at once: whatever the machine has not written to disk is lost."),
        icon="power-off",
        extra={"danger": True},
    )
)

register(
    Operation(
        name="guest.pause",
        label=_("Pause"),
        permission="guest.power",
        target="guest",
        many=Many(),
        refuse=by_state({**NEEDS_RUNNING, "paused": _("It is paused already.")}),
        steps=[Step("pause", _("Stop its CPUs"), lambda context: power.suspend(context.conn, context.uuid))],
        virsh=virsh_on_guest("suspend"),
        icon="pause",
    )
)

register(
    Operation(
        name="guest.resume",
        label=_("Resume"),
        permission="guest.power",
        target="guest",
        many=Many(),
        refuse=by_state(NEEDS_PAUSED),
        steps=[Step("resume", _("Let its CPUs run on"), lambda context: power.resume(context.conn, context.uuid))],
        virsh=_resume_line,
        icon="play",
    )
)

register(
    Operation(
        name="guest.nmi",
        label=_("Send NMI"),
        permission="guest.power",
        target="guest",
        refuse=by_state(NEEDS_RUNNING),
        steps=[Step("nmi", _("Send a non-maskable interrupt"), _nmi)],
        virsh=virsh_on_guest("inject-nmi"),
        confirm=_("A non-maskable interrupt makes most systems crash on purpose and write a memory dump."),
        icon="bell-ring",
        extra={"danger": True},
    )
)
