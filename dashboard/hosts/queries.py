"""What the host pages read: a constant number of SQL queries, no libvirt call."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from dashboard.accounts.access import guests_where, on_hosts_where
from dashboard.accounts.models import User
from dashboard.inventory.models import Guest, Host

ON = Q(guests__state__in=("running", "paused", "stopping", "suspended"))


@dataclass(frozen=True)
class Capacity:
    """What a host has and what its guests were promised. Memory in KiB."""

    cpus: int
    vcpus_on: int
    vcpus_all: int
    memory_kib: int
    memory_free_kib: int
    promised_on_kib: int
    promised_all_kib: int

    @property
    def memory_used_kib(self) -> int:
        """Memory that is not free, the host's own included."""
        return max(0, self.memory_kib - self.memory_free_kib)

    @property
    def memory_ratio(self) -> float:
        """Memory promised to guests that are on, against the host's memory."""
        return self.promised_on_kib / self.memory_kib if self.memory_kib else 0.0

    @property
    def cpu_ratio(self) -> float:
        """vCPUs of guests that are on, against the host's CPUs."""
        return self.vcpus_on / self.cpus if self.cpus else 0.0

    def sentences(self) -> list[str]:
        """The overcommit ratios, in plain words."""
        cpu = _("%(vcpus)d vCPUs of running guests on %(cpus)d CPUs: %(ratio).1f vCPUs for each CPU.") % {
            "vcpus": self.vcpus_on,
            "cpus": self.cpus,
            "ratio": self.cpu_ratio,
        }
        percent = {"percent": round(100 * self.memory_ratio)}
        if self.memory_ratio > 1:
            memory = (
                _("Running guests were promised %(percent)d %% of the memory there is: more than the host has.")
                % percent
            )
        else:
            memory = _("Running guests were promised %(percent)d %% of the host's memory.") % percent
        return [cpu, memory]


def hosts_with_counts(user: User) -> QuerySet[Host]:
    """The hosts that a person may see with `guests_on`, `guests_all`, `vcpus_on`, `vcpus_all`, `promised_on`, `promised_all` (one query)."""
    seen = Host.objects.filter(on_hosts_where(user, "host.view", "pk"))
    return seen.defer("secrets", "host_keys").annotate(
        guests_all=Count("guests"),
        guests_on=Count("guests", filter=ON),
        vcpus_all=Sum("guests__vcpus", default=0),
        vcpus_on=Sum("guests__vcpus", filter=ON, default=0),
        promised_all=Sum("guests__memory_max_kib", default=0),
        promised_on=Sum("guests__memory_max_kib", filter=ON, default=0),
    )


def capacity(host: Host) -> Capacity:
    """The capacity of a host from `hosts_with_counts`."""
    counted: dict[str, int] = host.__dict__
    return Capacity(
        cpus=host.cpus,
        vcpus_on=counted["vcpus_on"],
        vcpus_all=counted["vcpus_all"],
        memory_kib=host.memory_kib,
        memory_free_kib=host.memory_free_kib,
        promised_on_kib=counted["promised_on"],
        promised_all_kib=counted["promised_all"],
    )


def guests_of(user: User, host: Host) -> QuerySet[Guest]:
    """Those guests of one host that a person may see, for its page, without XML and facts."""
    return (
        Guest.objects.filter(guests_where(user), host=host)
        .select_related("host")
        .defer("xml", "description")
        .order_by("name")
    )
