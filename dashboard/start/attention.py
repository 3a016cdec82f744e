"""What needs attention, of what a person may see: hosts, guests, jobs, pools, and memory promised twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import BigIntegerField, Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from dashboard.accounts.access import guests_where, on_hosts_where
from dashboard.accounts.models import User
from dashboard.inventory.models import Guest, Host, Pool
from dashboard.jobs.models import Job
from dashboard.jobs.queries import visible_jobs

SHOWN = 10
"""Of one kind; the rest is counted, and a link away."""
OWN_JOBS = 6
FULL_PERCENT = 85
FAILED_WITHIN = timedelta(hours=24)
ON = ("running", "paused", "stopping", "suspended")


@dataclass
class Some:
    """The first few of what was found, and whether there are others."""

    items: list[Any] = field(default_factory=list)
    more: bool = False

    @classmethod
    def of(cls, found: QuerySet[Any] | list[Any]) -> Some:
        """By one query for one more than is shown."""
        items = list(found[: SHOWN + 1])
        return cls(items[:SHOWN], len(items) > SHOWN)

    def __bool__(self) -> bool:
        return bool(self.items)


@dataclass
class Attention:
    """Everything that the start page shows."""

    hosts: Some
    crowded: list[Host]
    """Hosts whose guests that are on were promised more memory than there is; `promised` is the fraction."""
    guests: Some
    jobs: Some
    pools: Some
    own_jobs: list[Job]
    states: dict[str, int]
    hosts_all: int
    hosts_live: int

    @property
    def fine(self) -> bool:
        """Whether nothing needs anybody."""
        return not (self.hosts or self.crowded or self.guests or self.jobs or self.pools)


def attention(user: User) -> Attention:
    """By six queries, whatever there is."""
    hosts = list(_hosts(user))
    bad = [host for host in hosts if host.status in (Host.Status.DOWN, Host.Status.UNTRUSTED)]
    crowded = [host for host in hosts if host.memory_kib and host.promised_kib > host.memory_kib]  # type: ignore[attr-defined]
    for host in crowded:
        host.promised = host.promised_kib / host.memory_kib  # type: ignore[attr-defined]
    return Attention(
        hosts=Some.of(bad),
        crowded=crowded[:SHOWN],
        guests=Some.of(_troubled(user)),
        jobs=Some.of(_failed(user)),
        pools=Some.of(_full(user)),
        own_jobs=list(Job.objects.filter(created_by=user, parent=None)[:OWN_JOBS]),
        states=_states(user),
        hosts_all=len(hosts),
        hosts_live=sum(host.status == Host.Status.LIVE for host in hosts),
    )


def _hosts(user: User) -> QuerySet[Host]:
    promised = Sum("guests__memory_kib", filter=Q(guests__state__in=ON))
    seen = Host.objects.filter(on_hosts_where(user, "host.view", "pk")).defer("facts", "secrets", "host_keys")
    return seen.annotate(promised_kib=Coalesce(promised, 0, output_field=BigIntegerField()))


def _troubled(user: User) -> QuerySet[Guest]:
    """Guests that crashed, or that a disk's error paused."""
    stopped = Q(state="crashed") | Q(state="paused", reason="I/O error")
    seen = Guest.objects.filter(guests_where(user), stopped, host__status=Host.Status.LIVE)
    return seen.select_related("host").defer("xml", "facts", "description")


def _failed(user: User) -> QuerySet[Job]:
    """Jobs that went wrong and were not done since: the same again, on the same object, that succeeded settles one."""
    wrong = (Job.State.FAILED, Job.State.NEEDS_ATTENTION)
    since = timezone.now() - FAILED_WITHIN
    same = {name: OuterRef(name) for name in ("operation", "host_id", "object_kind", "object_key")}
    done = Job.objects.filter(**same, state=Job.State.SUCCEEDED, created_at__gt=OuterRef("created_at")).exclude(
        object_key=""
    )
    settled = Q(state=Job.State.FAILED) & Exists(done)
    return visible_jobs(user).filter(state__in=wrong, created_at__gte=since, parent=None).exclude(settled)


def _full(user: User) -> QuerySet[Pool]:
    seen = Pool.objects.filter(on_hosts_where(user, "storage.view"), state="running", capacity__gt=0)
    # In whole numbers, on which both databases agree; divided first, that the largest still fit.
    full = seen.filter(allocation__gte=F("capacity") / 100 * FULL_PERCENT)
    return full.select_related("host").order_by("-allocation")


def _states(user: User) -> dict[str, int]:
    """How many guests there are of each state; all of a host that does not answer are unknown."""
    found = {"all": 0, "running": 0, "off": 0, "unknown": 0}
    groups = Guest.objects.filter(guests_where(user)).order_by().values_list("host__status", "state")
    for status, state, number in groups.annotate(number=Count("pk")):
        found["all"] += number
        if status != Host.Status.LIVE:
            found["unknown"] += number
        elif state in ("running", "shutoff"):
            found["running" if state == "running" else "off"] += number
    return found
