"""Limits beside what is used of them, in words: the gauges of the quotas, and why a wish does not fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from dashboard.accounts.models import Quota

HIGH = 0.9
"""From here on a gauge warns."""
MIB, GIB = 1024**2, 1024**3
RESOURCES: dict[str, Promise] = {
    "guests": gettext_lazy("Virtual machines"),
    "vcpus": gettext_lazy("vCPUs"),
    "memory_kib": gettext_lazy("Memory"),
    "disk_bytes": gettext_lazy("Disk"),
}


@dataclass(frozen=True)
class Use:
    """How much is owned, or added."""

    guests: int = 0
    vcpus: int = 0
    memory_kib: int = 0
    disk_bytes: int = 0

    def of(self, resource: str) -> int:
        """The amount of one resource."""
        return int(getattr(self, resource))


@dataclass(frozen=True)
class Gauge:
    """One limit beside what it limits. `adds`: what a wish would take."""

    resource: str
    used: int
    adds: int
    limit: int

    @property
    def exceeded(self) -> bool:
        """Whether the wish does not fit. Who is over the limit already may do what adds nothing."""
        return self.adds > 0 and self.used + self.adds > self.limit

    @property
    def share(self) -> float:
        """How much of the limit is taken with the wish, 0 to 1."""
        return min(1.0, (self.used + self.adds) / self.limit) if self.limit else 1.0

    @property
    def text(self) -> str:
        """ "5 of 8 GiB", with the wish in it."""
        used, limit = plain(self.resource, self.used + self.adds), plain(self.resource, self.limit)
        return _("%(used)s of %(limit)s") % {"used": used, "limit": limit}


def plain(resource: str, amount: int) -> str:
    """An amount as short as it goes: "4", "2 GiB"."""
    sizes = {"memory_kib": 1024, "disk_bytes": 1}
    return size_text(amount * sizes[resource]) if resource in sizes else str(amount)


def size_text(size: int) -> str:
    """GiB where quarters of them tell it exactly, else whole MiB, rounded down: what is left is never promised too large."""
    return f"{size / GIB:g} GiB" if size % (GIB // 4) == 0 else f"{size // MIB} MiB"


def amount_text(resource: str, amount: int) -> str:
    """ "4 vCPUs", "2 GiB of memory"."""
    if resource == "guests":
        return ngettext("%(n)d virtual machine", "%(n)d virtual machines", amount) % {"n": amount}
    if resource == "vcpus":
        return ngettext("%(n)d vCPU", "%(n)d vCPUs", amount) % {"n": amount}
    words = _("%(size)s of memory") if resource == "memory_kib" else _("%(size)s of disk")
    return words % {"size": plain(resource, amount)}


def sentence(gauge: Gauge, group: str, person: str) -> str:
    """Why a wish does not fit: by the quota of a group, of somebody else (`person`), or one's own."""
    values = {
        "left": amount_text(gauge.resource, max(0, gauge.limit - gauge.used)),
        "asked": amount_text(gauge.resource, gauge.adds),
        "limit": amount_text(gauge.resource, gauge.limit),
        "name": group or person,
    }
    if gauge.limit <= gauge.used:
        if group:
            return _("The quota of the group %(name)s is used up: %(limit)s.") % values
        return (
            _("The quota of %(name)s is used up: %(limit)s.") if person else _("Your quota is used up: %(limit)s.")
        ) % values
    if group:
        return _("The quota of the group %(name)s allows %(left)s more; you asked for %(asked)s.") % values
    if person:
        return _("The quota of %(name)s allows %(left)s more; you asked for %(asked)s.") % values
    return _("Your quota allows %(left)s more; you asked for %(asked)s.") % values


def shown(found: Iterable[tuple[Quota, list[Gauge]]]) -> list[dict[str, Any]]:
    """Gauges as pages draw them, in the active language."""
    return [
        {
            "title": _("Group %(name)s") % {"name": quota.group.name} if quota.group else _("Your quota"),
            "gauges": [
                {
                    "resource": one.resource,
                    "label": str(RESOURCES[one.resource]),
                    "text": one.text,
                    "width": f"{one.share * 100:.1f}%",
                    "level": "over" if one.exceeded else "high" if one.share >= HIGH else "",
                }
                for one in limits
            ],
        }
        for quota, limits in found
    ]
