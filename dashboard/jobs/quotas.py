"""Quotas: what people own, what they may own at most, and the reservations that hold it exactly however many ask at once.

Every row of Ownership counts, from the moment its job is made until its guest is gone for certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import BigIntegerField, Count, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Cast, Coalesce, Greatest

from dashboard.accounts import audit
from dashboard.accounts.models import AuditEntry, Quota, User
from dashboard.inventory import refresh
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.errors import Invalid
from dashboard.jobs.gauges import RESOURCES, Gauge, Use, sentence
from dashboard.jobs.models import Job, Ownership
from dashboard.jobs.operation import Need

COMPARISONS = 2
"""Full comparisons without the guest after it was missed: the second of them surely began after its job had ended."""


# -- what is owned and what may be


def used_by(who: User | Group) -> Use:
    """What a person, or all members of a group together, own: of a guest the larger of reserved and mirrored.

    A guest counts with its maxima: what it may take without being defined anew.
    """
    owned = Ownership.objects.filter(Q(user=who.pk) if isinstance(who, User) else Q(user__groups=who.pk))
    sums = _mirrored(owned).aggregate(
        guests=Count("pk"), vcpus=Sum("most_vcpus"), memory_kib=Sum("most_memory"), disk_bytes=Sum("disk_bytes")
    )
    return Use(**{name: int(value or 0) for name, value in sums.items()})


def _mirrored(owned: QuerySet[Ownership]) -> QuerySet[Ownership]:
    """The rows with what the mirror says of their guests."""
    guest = Guest.objects.filter(host=OuterRef("host"), uuid=OuterRef("uuid"))
    vcpus = Coalesce(Subquery(guest.values("vcpus_max")[:1]), 0, output_field=IntegerField())
    memory = Coalesce(Subquery(guest.values("memory_max_kib")[:1]), 0, output_field=BigIntegerField())
    return owned.annotate(
        guest_state=Subquery(guest.values("state")[:1]),
        mirror_vcpus=vcpus,
        mirror_memory=memory,
        most_vcpus=Greatest(Cast("vcpus", IntegerField()), vcpus),
        most_memory=Greatest("memory_kib", memory),
    )


def quotas_of(person: User, *, lock: bool = False) -> list[Quota]:
    """Their own quota and those of their groups; with `lock` nobody else reserves by them until the transaction ends."""
    found = Quota.objects.filter(Q(user=person.pk) | Q(group__in=person.groups.values("pk"))).select_related("group")
    if lock:
        # In one order, so that two who need several wait for each other and not crosswise.
        found = found.select_for_update(of=("self",))
    return list(found.order_by("pk"))


def gauges(person: User, need: Need | None = None, *, lock: bool = False) -> list[tuple[Quota, list[Gauge]]]:
    """Each quota that holds for the person, with its limits beside what is used and what the wish would add."""
    found = []
    for quota in quotas_of(person, lock=lock):
        used = used_by(quota.group or person)
        found.append((quota, list(_gauges(quota, used, need or Need()))))
    return [(quota, limits) for quota, limits in found if limits]


def own_gauges(holder: User | Group) -> tuple[Quota, list[Gauge]] | None:
    """The holder's own quota beside what they own; None without limits."""
    quota = Quota.objects.filter(**{"user" if isinstance(holder, User) else "group": holder}).first()
    limits = list(_gauges(quota, used_by(holder), Need())) if quota else []
    return (quota, limits) if quota and limits else None


def _gauges(quota: Quota, used: Use, need: Need) -> Iterator[Gauge]:
    for resource in RESOURCES:
        limit = getattr(quota, resource)
        if limit is not None:
            yield Gauge(resource, used.of(resource), max(0, int(getattr(need, resource))), limit)


def summary(user: User) -> list[dict[str, Any]]:
    """For the API: each quota with the person's or group's use, only where there are limits."""
    return [
        {
            "group": quota.group.name if quota.group else None,
            "limits": {one.resource: {"used": one.used, "limit": one.limit} for one in limits},
        }
        for quota, limits in gauges(user)
    ]


def refusals(person: User, need: Need | None, *, asker: User | None = None, lock: bool = False) -> dict[str, list[str]]:
    """What of the wish does not fit the quotas of the person, as errors by field; {} when all of it fits."""
    if need is None:
        return {}
    found: dict[str, list[str]] = {}
    for quota, limits in gauges(person, need, lock=lock):
        for gauge in limits:
            if gauge.exceeded:
                whose = quota.group.name if quota.group else ""
                foreign = person.get_username() if asker is not None and asker.pk != person.pk else ""
                said = sentence(gauge, whose, foreign)
                found.setdefault(need.fields.get(gauge.resource, ""), []).append(said)
    return found


# -- reserving and giving back


def reserve(job: Job, need: Need | None) -> None:
    """Reserve what the new job takes, inside the transaction that inserts it, or raise Invalid with errors by field."""
    if need is None or job.host is None or job.created_by is None:
        return
    if need.guests > 0:
        _refuse(job.created_by, need, job)
        sizes = {"vcpus": need.vcpus, "memory_kib": need.memory_kib, "disk_bytes": need.disk_bytes}
        Ownership.objects.create(user=job.created_by, host=job.host, uuid=job.plan["uuid"], job=job, **sizes)
        return
    row = Ownership.objects.select_for_update(of=("self",)).filter(host=job.host, uuid=job.object_key).first()
    if row is None:
        return  # made outside and owned by nobody: no quota is concerned
    _refuse(row.user, need, job)
    _add(row.pk, {name: value for name, value in _changes(need).items() if value > 0})
    job.plan = {**job.plan, "reserved": _changes(need)}
    Job.objects.filter(pk=job.pk).update(plan=job.plan)


def _refuse(person: User, need: Need, job: Job) -> None:
    if max(need.guests, need.vcpus, need.memory_kib, need.disk_bytes) <= 0:
        return  # what only gives back always fits
    if errors := refusals(person, need, asker=job.created_by, lock=True):
        raise Invalid(errors)


def _changes(need: Need) -> dict[str, int]:
    kept = asdict(Use(need.guests, need.vcpus, need.memory_kib, need.disk_bytes))
    return {name: value for name, value in kept.items() if value}


def _add(pk: int, more: Mapping[str, int]) -> None:
    """Add to what is counted of a guest now, so that a change made outside before is not forgotten."""
    row: Any = _mirrored(Ownership.objects.filter(pk=pk)).first()
    if row is None or not more:
        return
    counted: dict[str, int] = {
        "vcpus": row.most_vcpus,
        "memory_kib": row.most_memory,
        "disk_bytes": row.disk_bytes,
    }
    fresh = {name: max(0, value + more.get(name, 0)) for name, value in counted.items()}
    Ownership.objects.filter(pk=pk).update(**fresh)


def settle(job: Job) -> None:
    """Give back what the job did not use after all. Called in the transaction that ends it.

    A job that needs attention may have left its guest: that is seen by the mirror (`correct`).
    """
    undone = job.state in (Job.State.FAILED, Job.State.CANCELLED)
    took: dict[str, int] | None = job.plan.get("reserved")
    if took is None:
        if undone:
            Ownership.objects.filter(job=job).delete()
        return
    mine = Ownership.objects.filter(host=job.host_id, uuid=job.object_key)
    if job.state == Job.State.SUCCEEDED and took.get("guests", 0) < 0:
        mine.delete()
        return
    back = {name: -value for name, value in took.items() if value > 0} if undone else {}
    if job.state == Job.State.SUCCEEDED:
        back = {name: value for name, value in took.items() if value < 0}
    row = mine.first()
    if row is not None and back:
        now = {name: max(0, getattr(row, name) + back.get(name, 0)) for name in ("vcpus", "memory_kib", "disk_bytes")}
        mine.update(**now)


# -- what happened outside


_missed: dict[int, int] = {}
"""Rows whose guest the mirror does not have, and the host's generation when that was first seen by this process."""


def correct() -> int:
    """Bring the rows in line with the mirror of live hosts; returns how many changed. For the reconciler.

    A guest that is gone for certain gives everything back. One that is off shows in the mirror how it is defined; while
    it runs, it may be defined larger than it is now, and the larger counts.
    """
    changed = 0
    absent: set[int] = set()
    for row in _settled():
        if row.guest_state is None:
            absent.add(row.pk)
            changed += _release(row)
        else:
            true = {"vcpus": row.mirror_vcpus, "memory_kib": row.mirror_memory}
            changed += Ownership.objects.filter(pk=row.pk).update(**true)
    for pk in _missed.keys() - absent:
        del _missed[pk]
    return changed


def _settled() -> list[Any]:
    """Rows on live hosts that no job is about to make, whose guest is missing or, being off, is defined with another size."""
    rows = _mirrored(Ownership.objects.filter(host__status=Host.Status.LIVE).exclude(job__state__in=Job.ACTIVE))
    another = ~Q(vcpus=F("mirror_vcpus"), memory_kib=F("mirror_memory"))
    wanted = rows.filter(Q(guest_state__isnull=True) | (Q(guest_state="shutoff") & another))
    active = Job.objects.filter(state__in=Job.ACTIVE, object_kind="guest")
    busy = set(active.values_list("host_id", "object_key"))
    return [row for row in wanted.select_related("host", "user") if (row.host_id, str(row.uuid)) not in busy]


def _release(row: Any) -> int:
    """Give back what a missing guest had, once full comparisons have confirmed that it is gone."""
    host: Host = row.host
    first = _missed.setdefault(row.pk, host.generation)
    if host.generation < first + COMPARISONS:
        refresh.ask(host.pk, "all")
        return 0
    del _missed[row.pk]
    return Ownership.objects.filter(pk=row.pk, host__status=Host.Status.LIVE).delete()[0]


def drift() -> list[str]:
    """Where the rows and the mirror disagree, in words; [] when quotas count exactly what there is (invariant I5)."""
    found = []
    for row in _settled():
        where = f"guest {row.uuid} on {row.host.name}, owned by {row.user.get_username()}"
        if row.guest_state is None:
            found.append(f"{where}: counts and is not there")
        else:
            counted = f"{row.vcpus} vCPUs, {row.memory_kib} KiB"
            found.append(f"{where}: counts {counted}, has {row.mirror_vcpus} vCPUs, {row.mirror_memory} KiB")
    return found + sorted(_unowned())


def _unowned() -> Iterator[str]:
    """Guests that kvmweb made, that are there and count for nobody, although no administrator wanted it so."""
    made = Job.objects.filter(operation="guest.create", state=Job.State.SUCCEEDED, created_by__isnull=False)
    owned = {(host, str(uuid)) for host, uuid in Ownership.objects.values_list("host_id", "uuid")}
    there = {(host, str(uuid)) for host, uuid in Guest.objects.values_list("host_id", "uuid")}
    freed = set(AuditEntry.objects.filter(action=OWNER_SET).values_list("object_key", flat=True))
    for host, result in made.values_list("host_id", "result"):
        guest = (host, str(result.get("uuid")))
        if guest in there and guest not in owned and guest[1] not in freed:
            yield f"guest {guest[1]} was made by kvmweb and counts for nobody"


# -- owners


OWNER_SET = "guest.owner"
"""In the audit log: an administrator named a guest's owner."""


def owner_of(guest: Guest) -> User | None:
    """Whose quota the guest counts against."""
    row = Ownership.objects.filter(host=guest.host_id, uuid=guest.uuid).select_related("user").first()
    return row.user if row else None


def set_owner(*, actor: User, guest: Guest, owner: User | None, disk_bytes: int, source_ip: str = "") -> None:
    """Have a guest count against somebody's quota, whatever is left of that, or (None) against nobody's.

    `disk_bytes` is for a guest that had no owner: of one that kvmweb made it is known how large its disks were made.
    """
    where = {"host": guest.host, "uuid": guest.uuid}
    with transaction.atomic():
        before = owner_of(guest)
        if owner is None:
            Ownership.objects.filter(**where).delete()
        elif before is not None:
            Ownership.objects.filter(**where).update(user=owner)
        else:
            sizes = {"vcpus": guest.vcpus_max, "memory_kib": guest.memory_max_kib, "disk_bytes": disk_bytes}
            Ownership.objects.create(user=owner, **where, **sizes)
        audit.record(
            actor=actor,
            action=OWNER_SET,
            phase="event",
            object_kind="guest",
            object_key=str(guest.uuid),
            object_name=guest.name,
            host_name=guest.host.name,
            result="ok",
            source_ip=source_ip,
            detail={"before": str(before or ""), "after": str(owner or "")},
        )
