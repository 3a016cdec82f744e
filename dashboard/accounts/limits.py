"""Setting quotas: the most that a person, or the members of a group together, may own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.audit import record
from dashboard.accounts.models import Quota, User

GIB_IN_KIB, GIB = 1024**2, 1024**3
MOST = 1_000_000
"""More than any installation has, and no more than the columns hold."""


def _number(label: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=0, max_value=MOST)


class QuotaForm(forms.Form):
    """The limits; an empty field is none."""

    guests = _number(_("Virtual machines"))
    vcpus = _number(_("vCPUs"))
    memory_gib = forms.DecimalField(
        label=_("Memory (GiB)"), required=False, min_value=0, max_value=MOST, decimal_places=3
    )
    disk_gib = _number(_("Disk (GiB)"))

    def limits(self) -> dict[str, int | None]:
        """As the quota keeps them."""
        data = self.cleaned_data
        memory: Decimal | None = data["memory_gib"]
        return {
            "guests": data["guests"],
            "vcpus": data["vcpus"],
            "memory_kib": None if memory is None else int(memory * GIB_IN_KIB),
            "disk_bytes": None if data["disk_gib"] is None else data["disk_gib"] * GIB,
        }


def initial(quota: Quota | None) -> dict[str, Any]:
    """What the form shows of a quota."""
    if quota is None:
        return {}
    memory, disk = quota.memory_kib, quota.disk_bytes
    return {
        "guests": quota.guests,
        "vcpus": quota.vcpus,
        "memory_gib": None if memory is None else round(Decimal(memory) / GIB_IN_KIB, 3).normalize().__format__("f"),
        "disk_gib": None if disk is None else disk // GIB,
    }


def quota_of(holder: User | Group) -> Quota | None:
    """The holder's own quota."""
    return Quota.objects.filter(**_whose(holder)).first()


def _whose(holder: User | Group) -> dict[str, Any]:
    return {"user": holder} if isinstance(holder, User) else {"group": holder}


def set_quota(*, actor: User, holder: User | Group, limits: dict[str, int | None], source_ip: str = "") -> None:
    """Set all limits. One below what is owned already takes nothing away: it only keeps more from being added."""
    with transaction.atomic():
        old = quota_of(holder)
        before = {name: getattr(old, name, None) for name in limits}
        if any(value is not None for value in limits.values()):
            Quota.objects.update_or_create(**_whose(holder), defaults=limits)
        elif old is not None:
            old.delete()
        record(
            actor=actor,
            action="quota.change",
            phase="event",
            object_kind="person" if isinstance(holder, User) else "group",
            object_key=str(holder.pk),
            object_name=str(holder),
            result="ok",
            source_ip=source_ip,
            detail={"before": before, "after": limits},
        )
