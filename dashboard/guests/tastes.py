"""How a person likes the list: which columns in which order, table or screens. And the columns there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.models import User
from dashboard.guests.models import ListTaste
from dashboard.guests.queries import VIEWS


@dataclass(frozen=True)
class Column:
    """One column of the list: its head, the order that its head asks for ("": none), its class."""

    label: Promise
    sort: str = ""
    style: str = ""


COLUMNS: dict[str, Column] = {
    "state": Column(_("State"), "state"),
    "host": Column(_("Host"), "host"),
    "cpu": Column(_("CPU"), "cpu"),
    "used": Column(_("Memory"), "used", "memory"),
    "disk": Column(_("Disk"), "disk"),
    "net": Column(_("Network"), "net", "network"),
    "addresses": Column(_("Addresses")),
    "uptime": Column(_("Uptime"), "uptime"),
    "vcpus": Column(_("vCPUs"), "vcpus"),
    "memory": Column(_("Memory size"), "memory", "size"),
    "tags": Column(_("Tags"), "", "labels"),
    "owner": Column(_("Owner")),
    "autostart": Column(_("Autostart")),
    "title": Column(_("Title"), "title", "caption"),
    "os": Column(_("Operating system")),
}
"""Every column but the name, which always comes first."""
USUAL = ("state", "host", "cpu", "used", "disk", "net", "addresses", "uptime")


@dataclass(frozen=True)
class Taste:
    """What a person chose."""

    columns: tuple[str, ...] = USUAL
    view: str = "table"

    @property
    def usual(self) -> bool:
        """Whether the columns are those that everybody gets."""
        return self.columns == USUAL

    @property
    def choices(self) -> list[tuple[str, Promise, bool]]:
        """All columns, those shown first in their order: (key, label, shown)."""
        others = [key for key in COLUMNS if key not in self.columns]
        return [(key, COLUMNS[key].label, key in self.columns) for key in (*self.columns, *others)]


def taste_of(user: User) -> Taste:
    """What the person chose; the usual for who never did."""
    kept = ListTaste.objects.filter(user=user).first()
    if kept is None:
        return Taste()
    return Taste(_known(kept.columns) or USUAL, kept.view if kept.view in VIEWS else "table")


def keep(user: User, *, columns: Iterable[str] | None = None, view: str = "") -> None:
    """Remember columns (none at all: the usual ones again) or a view."""
    changed: dict[str, object] = {}
    if columns is not None:
        known = _known(columns)
        changed["columns"] = [] if known == USUAL else list(known)
    if view in VIEWS:
        changed["view"] = view
    if changed:
        ListTaste.objects.update_or_create(user=user, defaults=changed)


def _known(keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for key in keys if key in COLUMNS))
