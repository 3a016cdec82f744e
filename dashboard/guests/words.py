"""What is said of a guest beside its state: the reason, and the one operation offered first; also as JSON for scripts."""

from __future__ import annotations

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dashboard.jobs.operation import OPERATIONS

FILTERS = ("running", "paused", "shutoff", "saved", "crashed", "suspended", "unknown")
"""States that the list can be narrowed to ("running" includes those that are shutting down)."""

REASONS: dict[str, dict[str, Promise]] = {
    "running": {
        "restored": _("restored from disk"),
        "fromsnapshot": _("from a snapshot"),
        "migrated": _("moved here"),
        "migrationcanceled": _("move cancelled"),
        "savecanceled": _("save cancelled"),
        "woken": _("woken up"),
        "crashed": _("after a crash"),
        "postcopy": _("being moved"),
        "postcopyfailed": _("move failed"),
    },
    "paused": {
        "user": _("by a person"),
        "migration": _("being moved"),
        "save": _("being saved"),
        "dump": _("memory being dumped"),
        "ioerror": _("disk error"),
        "watchdog": _("by its watchdog"),
        "fromsnapshot": _("from a snapshot"),
        "shuttingdown": _("shutting down"),
        "snapshot": _("snapshot being made"),
        "crashed": _("after a crash"),
        "startingup": _("starting"),
        "postcopy": _("being moved"),
        "postcopyfailed": _("move failed"),
        "apierror": _("after a failed call"),
    },
    "shutoff": {
        "destroyed": _("forced off"),
        "crashed": _("crashed"),
        "migrated": _("moved away"),
        "failed": _("failed to start"),
        "fromsnapshot": _("from a snapshot"),
        "daemon": _("ended by libvirt"),
    },
    "crashed": {"panicked": _("kernel panic")},
}
"""What is worth saying beside the state; what is usual ("booted", "shut down") is not."""


def shown_state(state: str, *, saved: bool) -> str:
    """The state under which a guest is shown: one that is off with its memory kept is "saved"."""
    return "saved" if state == "shutoff" and saved else state


def reason_text(state: str, reason: str) -> Promise | str:
    """What to say beside the state ("disk error"), or ""."""
    key = "".join(letter for letter in reason.lower() if letter.isalnum())
    return REASONS.get(state, {}).get(key, "")


PRIMARY: dict[str, tuple[str, Promise, str]] = {
    "running": ("guest.shutdown", _("Shut down"), "power"),
    "paused": ("guest.resume", _("Resume"), "play"),
    "shutoff": ("guest.start", _("Start"), "play"),
    "saved": ("guest.restore", _("Restore"), "play"),
    "crashed": ("guest.force_off", _("Force off"), "power-off"),
    "stopping": ("guest.force_off", _("Force off"), "power-off"),
    "suspended": ("guest.resume", _("Wake"), "play"),
}
"""The one operation that a row offers without opening its menu, by the state shown."""


def for_scripts() -> dict[str, Any]:
    """Reasons and primary operations in the person's language, as the page hands them to its scripts."""
    return {
        "reasons": {state: {key: str(text) for key, text in reasons.items()} for state, reasons in REASONS.items()},
        "primary": {
            state: {
                "operation": name,
                "label": str(label),
                "icon": icon,
                "confirm": str(OPERATIONS[name].confirm),
                "danger": bool(OPERATIONS[name].extra.get("danger")),
            }
            for state, (name, label, icon) in PRIMARY.items()
        },
    }
