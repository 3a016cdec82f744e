"""What a person may do to a guest now: the menu with its reasons and warnings; and the list's filters and pages as links."""

from __future__ import annotations

import json
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.accounts.access import can
from dashboard.accounts.models import User
from dashboard.guests.queries import PAGE_SIZE, Filters, GuestPage
from dashboard.guests.rows import NO_PRIMARY, meter
from dashboard.guests.search_fields import STATES
from dashboard.guests.words import FILTERS
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.operation import OPERATIONS
from dashboard.live.formats import DASH, duration_text, face

Item = dict[str, Any]

DIALOGS: dict[str, str] = {
    name: f"guest.{right}"
    for name, right in (
        ("rename", "change"),
        ("title", "change"),
        ("description", "change"),
        ("tags", "change"),
        ("delete", "delete"),
    )
}
"""Operations that ask for more than yes: the dialog's name → the permission it needs."""

POWER: tuple[tuple[str, dict[str, Any], Promise | None], ...] = (
    ("guest.start", {}, None),
    ("guest.start", {"paused": True}, gettext_lazy("Start paused")),
    ("guest.restore", {}, None),
    ("guest.shutdown", {}, None),
    ("guest.shutdown", {"mode": "acpi"}, gettext_lazy("Shut down by ACPI")),
    ("guest.shutdown", {"mode": "agent"}, gettext_lazy("Shut down by guest agent")),
    ("guest.reboot", {}, None),
    ("guest.reset", {}, None),
    ("guest.force_off", {}, None),
)
STATE: tuple[str, ...] = ("guest.pause", "guest.resume", "guest.save", "guest.discard_saved", "guest.nmi")


def why_not(guest: Guest, operation: str, params: Any = None) -> str:
    """Why an operation does not fit now, or ""; the page and the server give the same reason."""
    if guest.host.status != Host.Status.LIVE:
        return _("Its host %(host)s does not answer at present.") % {"host": guest.host.name}
    return str(OPERATIONS[operation].refuse(guest, params) or "")


def warning(guest: Guest, operation: str) -> str:
    """What is lost, said of this very guest; "" for operations that ask nothing."""
    text = str(OPERATIONS[operation].confirm)
    if text and operation in ("guest.force_off", "guest.reset", "guest.nmi") and guest.started_at:
        running = duration_text(timezone.now() - guest.started_at)
        text = _("It has been running for %(time)s.") % {"time": running} + "\n" + text
    return text


def item(guest: Guest, operation: str, params: dict[str, Any] | None = None, label: Any = None) -> Item:
    """One operation as a button or menu entry."""
    declared = OPERATIONS[operation]
    typed = declared.params.model_validate(params) if params else None
    return {
        "name": operation,
        "label": label or declared.label,
        "icon": declared.icon,
        "params": json.dumps(params or {}),
        "danger": bool(declared.extra.get("danger")),
        "confirm": warning(guest, operation),
        "reason": why_not(guest, operation, typed),
        "dialog": "",
    }


def _dialog(guest: Guest, name: str) -> Item:
    address = reverse("guests:dialog", args=[guest.uuid, name])
    return {**item(guest, f"guest.{name}"), "confirm": "", "dialog": f"{address}?host={guest.host_id}"}


def menu(user: User, guest: Guest) -> list[list[Item]]:
    """All operations that the person may do, in groups; those that do not fit now carry the reason."""
    groups: list[list[Item]] = []
    if can(user, "guest.power", guest):
        agent = bool(guest.facts.get("agent"))
        power = [one for one in POWER if agent or "mode" not in one[1]]
        groups.append([item(guest, *one) for one in power if one[0] != "guest.restore" or guest.saved])
        hidden = {"guest.resume"} if guest.state == "running" else set()
        hidden |= {"guest.pause"} if guest.state in ("paused", "suspended") else set()
        groups.append([item(guest, name) for name in STATE if name not in hidden])
    if can(user, "guest.change", guest):
        enabled = not guest.autostart
        label = _("Start with the host") if enabled else _("Do not start with the host")
        described = [_dialog(guest, name) for name in ("rename", "title", "description", "tags")]
        groups.append([*described, item(guest, "guest.autostart", {"enabled": enabled}, label)])
    if can(user, "guest.delete", guest):
        groups.append([_dialog(guest, "delete")])
    return groups


def main_buttons(user: User, guest: Guest) -> list[Item]:
    """The operations that the guest's page shows beside its menu: what one wants most in this state."""
    if not can(user, "guest.power", guest):
        return []
    names = {
        "running": ("guest.shutdown", "guest.reboot", "guest.pause"),
        "paused": ("guest.resume", "guest.force_off"),
        "suspended": ("guest.resume", "guest.force_off"),
        "stopping": ("guest.force_off",),
        "crashed": ("guest.force_off",),
    }.get(guest.state, ("guest.restore", "guest.discard_saved") if guest.saved else ("guest.start",))
    return [item(guest, name) for name in names]


def state_filters(filters: Filters, page: GuestPage) -> list[Item]:
    """The states as links with their numbers; states that nothing is in are left out, unless chosen."""
    everything = {
        "key": "",
        "label": _("All"),
        "count": page.states.total(),
        "href": filters.address(q=filters.saying("state", "")),
    }
    chosen = STATES.get(filters.state.lower(), "")
    shown = [state for state in FILTERS if page.states[state] or state == chosen]
    return [everything | {"chosen": not chosen}] + [
        {
            "key": state,
            "label": face(state).label,
            "shape": face(state).shape,
            "tone": face(state).tone,
            "count": page.states[state],
            "href": filters.address(q=filters.saying("state", state)),
            "chosen": state == chosen,
        }
        for state in shown
    ]


def page_links(filters: Filters, page: GuestPage) -> Item:
    """Where in the list one is, and the way to the pages beside it."""
    first = (page.page - 1) * PAGE_SIZE
    return {
        "from": first + 1,
        "to": first + len(page.guests),
        "previous": filters.address(page=page.page - 1) if page.page > 1 else "",
        "next": filters.address(page=page.page + 1) if page.page < page.pages else "",
        "first": filters.address(page=1) if page.page > 1 else "",
        "last": filters.address(page=page.pages) if page.page < page.pages else "",
    }


def blank_row(*, may_power: bool, sees_host: bool) -> Item:
    """A row of nothing, from which the page's script makes the rows of guests that appear."""
    unknown = face("unknown")
    nothing = meter(None, DASH)
    return {
        "uuid": "00000000-0000-0000-0000-000000000000",
        "host": 0,
        "shown": "unknown",
        "face": {"label": unknown.label, "shape": unknown.shape, "tone": unknown.tone},
        "cpu": nothing,
        "memory": nothing,
        "read": DASH,
        "write": DASH,
        "rx": DASH,
        "tx": DASH,
        "uptime": DASH,
        "addresses": [],
        "note": "",
        "primary": NO_PRIMARY,
        "idle": True,
        "may_power": may_power,
        "sees_host": sees_host,
    }
