"""What the guests' operations share: refusals by mirrored state, and words for equivalent virsh command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dashboard.inventory.models import Guest
from dashboard.jobs.operation import Text

NEEDS_RUNNING: dict[str, Promise] = {
    "paused": _("It is paused: resume it first."),
    "stopping": _("It is shutting down."),
    "shutoff": _("It is off: start it first."),
    "crashed": _("It has crashed: force it off, then start it."),
    "suspended": _("It is suspended: wake it first."),
    "unknown": _("Its state is not known."),
}
NEEDS_OFF: dict[str, Promise] = {
    "running": _("It is running: shut it down first."),
    "paused": _("It is paused: resume it and shut it down, or force it off."),
    "stopping": _("It is shutting down: wait until it is off."),
    "crashed": _("It has crashed and still holds its memory: force it off first."),
    "suspended": _("It is suspended: wake it and shut it down, or force it off."),
    "unknown": _("Its state is not known."),
}
NEEDS_ACTIVE: dict[str, Promise] = {
    "shutoff": _("It is off already."),
    "unknown": _("Its state is not known."),
}
NEEDS_PAUSED: dict[str, Promise] = {
    "running": _("It is not paused."),
    "stopping": _("It is shutting down."),
    "shutoff": _("It is off: start it instead."),
    "crashed": _("It has crashed: force it off, then start it."),
    "unknown": _("Its state is not known."),
}
NOT_PERSISTENT = _("It is temporary: it has no definition on its host and vanishes when it stops.")

Refusal = Callable[[Guest, Any], Text | None]


def by_state(reasons: dict[str, Promise]) -> Refusal:
    """A refusal that looks up the guest's mirrored state; a state not in the table is welcome."""

    def refuse(guest: Guest, params: Any) -> Text | None:
        return reasons.get(guest.state)

    return refuse


def nothing_saved(guest: Guest, params: Any) -> Text | None:
    """Refuse what would part a guest from its saved memory."""
    return _("Its memory is saved on disk: restore it, or discard what was saved.") if guest.saved else None


def persistent_only(guest: Guest, params: Any) -> Text | None:
    """Refuse what needs a definition that outlives the guest's run."""
    return None if guest.persistent else NOT_PERSISTENT


def first_of(*refusals: Refusal) -> Refusal:
    """The first reason that any of `refusals` gives."""

    def refuse(guest: Guest, params: Any) -> Text | None:
        return next((reason for one in refusals if (reason := one(guest, params))), None)

    return refuse


def virsh_word(guest: Guest) -> str:
    """The word by which virsh finds exactly this guest: its name, or its UUID where virsh would misread the name.

    virsh takes a number for a running guest's id and a leading dash for an option.
    """
    plain = guest.name.isprintable() and not guest.name.startswith("-") and not guest.name.isdigit()
    return guest.name if plain and not re.fullmatch(r"[0-9a-fA-F-]{32,36}", guest.name) else str(guest.uuid)


def virsh(*words: str) -> str:
    """One virsh command line, quoted for a POSIX shell."""
    return shlex.join(("virsh", *words))


def virsh_on_guest(command: str, *options: str) -> Callable[[Guest, Any], str]:
    """The command line `virsh COMMAND GUEST OPTIONS`, whatever the parameters."""

    def line(guest: Guest, params: Any) -> str:
        return virsh(command, virsh_word(guest), *options)

    return line
