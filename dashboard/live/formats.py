"""How sizes, rates, durations and states are written for people; `static/js/format.js` writes them the same way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
DASH = "–"


def bytes_text(value: float | None) -> str:
    """1536 → "1.5 KiB"; one decimal below 100, none above; None → a dash."""
    if value is None:
        return DASH
    number, unit = float(value), 0
    while abs(number) >= 1024 and unit < len(UNITS) - 1:
        number, unit = number / 1024, unit + 1
    if unit and abs(round(number, 1)) < 100:
        return f"{round(number, 1):.1f}".removesuffix(".0") + f" {UNITS[unit]}"
    return f"{number:.0f} {UNITS[unit]}"


def rate_text(value: float | None) -> str:
    """Bytes a second: 1536 → "1.5 KiB/s"."""
    return DASH if value is None else f"{bytes_text(value)}/s"


def percent_text(fraction: float | None) -> str:
    """0.253 → "25 %"; None → a dash."""
    return DASH if fraction is None else f"{fraction * 100:.0f} %"


def duration_text(value: timedelta | float | None) -> str:
    """The two largest units: "3 d 4 h", "5 min 2 s", "0.8 s" below ten seconds."""
    if value is None:
        return DASH
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 9.95:
        return _("%(s)s s") % {"s": f"{max(seconds, 0):.1f}"}
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return _("%(d)d d %(h)d h") % {"d": days, "h": hours}
    if hours:
        return _("%(h)d h %(m)d min") % {"h": hours, "m": minutes}
    if minutes:
        return _("%(m)d min %(s)d s") % {"m": minutes, "s": whole % 60}
    return _("%(s)s s") % {"s": whole}


def ago_text(moment: datetime, now: datetime | None = None) -> str:
    """How long ago, in the largest unit: "just now", "5 min ago", "3 d ago"."""
    seconds = int(((now or timezone.now()) - moment).total_seconds())
    if seconds < 10:
        return _("just now")
    if seconds < 60:
        return _("%(n)d s ago") % {"n": seconds}
    if seconds < 3600:
        return _("%(n)d min ago") % {"n": seconds // 60}
    if seconds < 86400:
        return _("%(n)d h ago") % {"n": seconds // 3600}
    return _("%(n)d d ago") % {"n": seconds // 86400}


@dataclass(frozen=True)
class StateFace:
    """How one state looks: its word, the shape in the sprite, and the tone that gives the colour."""

    label: Promise
    shape: str
    tone: str


STATES: dict[str, StateFace] = {
    # guests
    "running": StateFace(gettext_lazy("Running"), "state-running", "good"),
    "paused": StateFace(gettext_lazy("Paused"), "state-paused", "warn"),
    "shutoff": StateFace(gettext_lazy("Off"), "state-shutoff", "quiet"),
    "stopping": StateFace(gettext_lazy("Shutting down"), "state-stopping", "warn"),
    "crashed": StateFace(gettext_lazy("Crashed"), "state-crashed", "bad"),
    "suspended": StateFace(gettext_lazy("Suspended"), "state-suspended", "warn"),
    "saved": StateFace(gettext_lazy("Saved"), "state-saved", "quiet"),
    "unknown": StateFace(gettext_lazy("Unknown"), "state-unknown", "quiet"),
    # hosts
    "new": StateFace(gettext_lazy("Not checked yet"), "state-pending", "quiet"),
    "connecting": StateFace(gettext_lazy("Connecting"), "state-pending", "info"),
    "live": StateFace(gettext_lazy("Live"), "state-running", "good"),
    "down": StateFace(gettext_lazy("Unreachable"), "state-failed", "bad"),
    "untrusted": StateFace(gettext_lazy("Host key changed"), "state-warning", "bad"),
    "disabled": StateFace(gettext_lazy("Disabled"), "state-disabled", "quiet"),
    # pools and networks
    "active": StateFace(gettext_lazy("Active"), "state-running", "good"),
    "inactive": StateFace(gettext_lazy("Inactive"), "state-shutoff", "quiet"),
    "building": StateFace(gettext_lazy("Building"), "state-pending", "info"),
    "degraded": StateFace(gettext_lazy("Degraded"), "state-warning", "warn"),
    "inaccessible": StateFace(gettext_lazy("Inaccessible"), "state-failed", "bad"),
    # jobs
    "queued": StateFace(gettext_lazy("Waiting"), "state-pending", "quiet"),
    "undoing": StateFace(gettext_lazy("Undoing"), "state-pending", "warn"),
    "succeeded": StateFace(gettext_lazy("Done"), "state-done", "good"),
    "failed": StateFace(gettext_lazy("Failed"), "state-failed", "bad"),
    "cancelled": StateFace(gettext_lazy("Cancelled"), "state-disabled", "quiet"),
    "needs_attention": StateFace(gettext_lazy("Needs attention"), "state-warning", "bad"),
}


def face(state: str) -> StateFace:
    """The look of a state; one that is not in the list looks unknown."""
    return STATES.get(state, STATES["unknown"])
