"""Writing the mirror: compares what a host tells with what the database holds, writes only the difference, and says what changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from django.db import models, transaction
from django.db.models import Model
from django.utils import timezone

from dashboard.inventory.models import Guest, Host, Network, Pool, Volume
from dashboard.inventory.rows import guest_row, host_row, network_row, pool_row
from dashboard.virt.facts import GuestFacts, GuestState, HostFacts, NetworkFacts, PoolFacts, VolumeFacts

BATCH = 500
"""Rows in one transaction: other writers get a turn in between."""

STOPPED = (GuestState.SHUTOFF, GuestState.CRASHED)

Values = dict[str, Any]
M = TypeVar("M", bound=Model)


class HasUuid(Protocol):
    """Facts of something that libvirt knows by UUID."""

    @property
    def uuid(self) -> str:
        """As libvirt writes it."""
        ...


F = TypeVar("F", bound=HasUuid)


@dataclass
class Difference(Generic[M]):
    """What a comparison changed."""

    changed: list[M] = field(default_factory=list)
    """New ones too."""
    gone: list[str] = field(default_factory=list)
    """UUIDs."""


@dataclass(frozen=True)
class Seen:
    """What events told about one guest beside its present facts."""

    started_at: float | None = None
    io_error: Values | None = None
    resumed: bool = False
    """Started, resumed or stopped since: an older I/O error is over."""


# -- guests


def compare_guests(host: Host, told: Iterable[GuestFacts]) -> Difference[Guest]:
    """Make the host's guests those that it tells."""
    return _compare(Guest, Guest.objects.filter(host=host), host, list(told), _guest_values)


def put_guest(host: Host, facts: GuestFacts, seen: Seen | None = None) -> Guest | None:
    """Write one guest; returns it if anything about it changed."""
    old = Guest.objects.filter(host=host, uuid=facts.uuid).first()
    return _put(Guest, host, old, facts.uuid, _guest_values(facts, old, seen))


def put_addresses(host: Host, addresses: dict[str, list[Values]]) -> list[Guest]:
    """Write guests' addresses (uuid → list); returns those that changed. Guests that stopped meanwhile keep none."""
    changed = []
    for old in Guest.objects.filter(host=host, uuid__in=addresses).exclude(state__in=STOPPED):
        fresh = addresses[str(old.uuid)]
        if old.addresses != fresh and _update(old, {"addresses": fresh}):
            changed.append(old)
    return changed


def remove_guest(host: Host, uuid: str) -> bool:
    """Forget a guest; whether there was one."""
    return bool(Guest.objects.filter(host=host, uuid=uuid).delete()[0])


def _guest_values(facts: GuestFacts, old: Guest | None, seen: Seen | None = None) -> Values:
    values: Values = {
        name: getattr(facts, name)
        for name in ("persistent", "autostart", "saved", "vcpus", "vcpus_max", "memory_kib", "memory_max_kib", "xml")
    }
    values |= {
        "name": facts.name[:255],
        "title": facts.title[:255],
        "description": facts.description,
        "state": str(facts.state),
        "reason": facts.reason[:32],
        "tags": list(facts.tags),
        "tags_text": f" {' '.join(facts.tags)} " if facts.tags else "",
        "facts": _guest_facts(facts, old, seen or Seen()),
        "started_at": _started_at(facts, old, seen or Seen()),
    }
    if facts.state in STOPPED:
        values["addresses"] = []
    return values


def _guest_facts(facts: GuestFacts, old: Guest | None, seen: Seen) -> Values:
    """The facts, with the last I/O error as long as it stands: until the guest starts, goes on or stops."""
    error = seen.io_error or (old.facts.get("io_error") if old is not None and not seen.resumed else None)
    return {**facts.facts, "io_error": error} if error and facts.state not in STOPPED else facts.facts


def _started_at(facts: GuestFacts, old: Guest | None, seen: Seen) -> datetime | None:
    if facts.state in STOPPED:
        return None
    before = old.started_at if old is not None else None
    told = seen.started_at or facts.started_at
    if told is None:
        return before
    fresh = datetime.fromtimestamp(told, tz=UTC)
    # The event and the process tell the same start some milliseconds apart.
    return before if before is not None and abs((fresh - before).total_seconds()) < 2 else fresh


# -- networks and pools


def compare_networks(host: Host, told: Iterable[NetworkFacts]) -> Difference[Network]:
    """Make the host's networks those that it tells."""
    return _compare(Network, Network.objects.filter(host=host), host, list(told), _network_values)


def put_network(host: Host, facts: NetworkFacts) -> Network | None:
    """Write one network; returns it if anything about it changed."""
    old = Network.objects.filter(host=host, uuid=facts.uuid).first()
    return _put(Network, host, old, facts.uuid, _network_values(facts, old))


def remove_network(host: Host, uuid: str) -> bool:
    """Forget a network; whether there was one."""
    return bool(Network.objects.filter(host=host, uuid=uuid).delete()[0])


def compare_pools(host: Host, told: Iterable[PoolFacts]) -> tuple[Difference[Pool], list[str]]:
    """Make the host's pools and their volumes those that it tells; also the UUIDs of pools whose volumes changed."""
    facts = list(told)
    difference = _compare(Pool, Pool.objects.filter(host=host), host, facts, _pool_values)
    pools = {str(pool.uuid): pool for pool in Pool.objects.filter(host=host)}
    return difference, [one.uuid for one in facts if one.uuid in pools and put_volumes(pools[one.uuid], one)]


def put_pool(host: Host, facts: PoolFacts) -> tuple[Pool | None, bool]:
    """Write one pool with its volumes; returns it if it changed itself, and whether its volumes did."""
    old = Pool.objects.filter(host=host, uuid=facts.uuid).first()
    changed = _put(Pool, host, old, facts.uuid, _pool_values(facts, old))
    pool = changed or old
    return changed, pool is not None and put_volumes(pool, facts)


def remove_pool(host: Host, uuid: str) -> bool:
    """Forget a pool and its volumes; whether there was one."""
    return bool(Pool.objects.filter(host=host, uuid=uuid).delete()[0])


def put_volumes(pool: Pool, facts: PoolFacts) -> bool:
    """Make the pool's volumes those that it tells; whether anything changed. An inactive pool tells none: they are kept."""
    if facts.state == "inactive":
        return False
    old = {volume.name: volume for volume in pool.volumes.all()}
    fresh, changed, fields = [], [], set[str]()
    for one in facts.volumes:
        values, before = _volume_values(one), old.pop(one.name, None)
        if before is None:
            fresh.append(Volume(pool=pool, name=one.name, **values))
        elif names := _assign(before, values):
            changed.append(before)
            fields.update(names)
    for batch in _batches(fresh):
        # Somebody else may have written the volume that he made (with its `made_format`) a moment ago.
        Volume.objects.bulk_create(batch, ignore_conflicts=True)
    for batch in _batches(changed):
        Volume.objects.bulk_update(batch, sorted(fields))
    for gone in _batches([volume.pk for volume in old.values()]):
        Volume.objects.filter(pk__in=gone).delete()
    return bool(fresh or changed or old)


def _network_values(facts: NetworkFacts, old: Network | None) -> Values:
    return {
        "name": facts.name[:255],
        "active": facts.active,
        "persistent": facts.persistent,
        "autostart": facts.autostart,
        "forward": facts.forward[:16],
        "bridge": facts.bridge[:64],
        "subnets": list(facts.subnets),
    }


def _pool_values(facts: PoolFacts, old: Pool | None) -> Values:
    values: Values = {
        name: getattr(facts, name)
        for name in ("persistent", "autostart", "capacity", "allocation", "available", "path")
    }
    return values | {"name": facts.name[:255], "kind": facts.kind[:32], "state": facts.state[:16]}


def _volume_values(facts: VolumeFacts) -> Values:
    return {
        "kind": facts.kind[:16],
        "format": facts.format[:16],
        "capacity": facts.capacity,
        "allocation": facts.allocation,
        "path": facts.path,
        "backing": facts.backing,
    }


# -- hosts


def put_host(host: Host, facts: HostFacts) -> bool:
    """Write what a host is; whether anything changed that people look at."""
    values: Values = {
        name: getattr(facts, name) for name in ("cpus", "memory_kib", "memory_free_kib", "kvm", "hostname", "cpu_model")
    }
    values |= {
        "libvirt_version": facts.libvirt_version[:32],
        "hypervisor_version": facts.hypervisor_version[:32],
        "facts": {**host.facts, **_plain(facts.facts)},
    }
    return bool(_update(host, values))


def set_status(host: Host, status: str, text: str = "", detail: str = "", **more: Any) -> bool:
    """Write whether a host answers and why not; whether that is news."""
    return bool(_update(host, {"status": status, "status_text": text, "status_detail": detail, **more}))


def touch(host: Host, **values: Any) -> None:
    """Write bookkeeping that is no news (last_seen, generation)."""
    _update(host, values)


# -- messages


def guest_message(host: Host, guest: Guest) -> Values:
    """The live message of a guest as it is now."""
    guest.host = host
    return {"k": "guest", "host": host.pk, "uuid": str(guest.uuid), "op": "set", "row": guest_row(guest)}


def host_message(host: Host) -> Values:
    """The live message of a host as it is now."""
    return {"k": "host", "host": host.pk, "op": "set", "row": host_row(host)}


def pool_message(host: Host, pool: Pool) -> Values:
    """The live message of a pool as it is now."""
    pool.host = host
    return {"k": "pool", "host": host.pk, "uuid": str(pool.uuid), "op": "set", "row": pool_row(pool)}


def network_message(host: Host, network: Network) -> Values:
    """The live message of a network as it is now."""
    network.host = host
    return {"k": "network", "host": host.pk, "uuid": str(network.uuid), "op": "set", "row": network_row(network)}


def volume_message(host: Host, pool_uuid: str) -> Values:
    """The live message that a pool's volumes changed."""
    return {"k": "volume", "host": host.pk, "pool": pool_uuid}


def gone_message(kind: str, host: Host, uuid: str) -> Values:
    """The live message that a guest, pool or network is no longer there."""
    return {"k": kind, "host": host.pk, "uuid": uuid, "op": "gone", "row": {"uuid": uuid, "host": host.pk}}


# -- the difference


def _compare(
    model: type[M],
    existing: models.QuerySet[M],
    host: Host,
    told: Sequence[F],
    values_of: Callable[[F, M | None], Values],
) -> Difference[M]:
    """Insert, update and delete so that the database holds what was told; batches, and nothing for what is equal."""
    left = {one.uuid: one for one in told}
    changed: list[M] = []
    gone: dict[str, int] = {}
    fields: set[str] = set()
    # Rows that are equal are dropped as they are read: 10,000 guests with their XML need not fit in memory twice.
    for row in existing.iterator(chunk_size=500):
        uuid = str(getattr(row, "uuid"))  # noqa: B009  # a generic model
        facts = left.pop(uuid, None)
        if facts is None:
            gone[uuid] = row.pk
        elif names := _assign(row, values_of(facts, row)):
            changed.append(row)
            fields.update(names)
    fresh = [model(host=host, uuid=uuid, **values_of(facts, None)) for uuid, facts in left.items()]
    manager = model._default_manager
    for batch in _batches(fresh):
        manager.bulk_create(batch)
    for batch in _batches(changed):
        manager.bulk_update(batch, sorted(fields), batch_size=100)
    for lost in _batches(list(gone.values())):
        with transaction.atomic():
            manager.filter(pk__in=lost).delete()
    return Difference(changed=fresh + changed, gone=list(gone))


def _put(model: type[M], host: Host, old: M | None, uuid: str, values: Values) -> M | None:
    if old is None:
        return model._default_manager.create(host=host, uuid=uuid, **values)
    return old if _update(old, values) else None


def _update(row: Model, values: Values) -> set[str]:
    """Write what differs, in one statement; the names of what differed. The row itself changes only if that succeeds."""
    fresh = _differing(row, values)
    if fresh:
        type(row)._default_manager.filter(pk=row.pk).update(**fresh)
    return _set(row, fresh)


def _assign(row: Model, values: Values) -> set[str]:
    """Set what differs on the row, not yet written; its names."""
    return _set(row, _differing(row, values))


def _set(row: Model, fresh: Values) -> set[str]:
    for name, value in fresh.items():
        setattr(row, name, value)
    return set(fresh)


def _differing(row: Model, values: Values) -> Values:
    """The values that the row does not have yet, with the time of the change where the row has one."""
    fresh = {name: value for name, value in values.items() if not _same(getattr(row, name), value)}
    return {**fresh, "changed_at": timezone.now()} if fresh and isinstance(row, Guest) else fresh


def _same(old: Any, new: Any) -> bool:
    return bool(old == new) or (isinstance(new, dict | list) and bool(old == _plain(new)))


def _plain(value: Any) -> Any:
    """The value as it comes back from a JSON column (tuples as lists, keys as text)."""
    return json.loads(json.dumps(value))


def _batches(rows: Sequence[Any]) -> Iterable[list[Any]]:
    return (list(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH))
