"""What an operation acts on: finds it by kind and key, names it for the job row, and names its lock."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from dashboard.accounts.access import can, guests_where, on_hosts_where
from dashboard.accounts.models import User
from dashboard.inventory.models import Guest, Host, Network, Pool
from dashboard.jobs.operation import Operation, Params

Target = Host | Guest | Pool | Network | None
Found = TypeVar("Found", Guest, Pool, Network)

VIEW_PERMISSION = {"guest": "guest.view", "host": "host.view", "pool": "storage.view", "network": "network.view"}


@dataclass(frozen=True)
class Described:
    """A target as a job row keeps it."""

    kind: str
    key: str
    name: str
    host: Host | None


def describe(target: Target, host: Host | None = None) -> Described:
    """The kind, key, name and host of a target."""
    if target is None:
        return Described("", "", "", host)
    if isinstance(target, Host):
        return Described("host", str(target.pk), target.name, target)
    kind = {Guest: "guest", Pool: "pool", Network: "network"}[type(target)]
    return Described(kind, str(target.uuid), target.name, target.host)


def lock_of(operation: Operation, target: Target, params: Params) -> str:
    """What the job locks; "" for nothing."""
    if operation.lock_for is not None:
        return operation.lock_for(target, params)
    if not operation.locks or target is None:
        return ""
    if isinstance(target, Host):
        return f"host:{target.pk}"
    described = describe(target)
    return f"{described.kind}:{target.host_id}:{described.key}"


def find(kind: str, key: str, host_id: int | None = None) -> Target:
    """The object of that kind and key (on that host), or None; also None when several hosts have it and none is named."""
    if kind == "host":
        return Host.objects.filter(pk=int(key)).first() if key.isdecimal() and len(key) < 16 else None
    models: dict[str, type[Guest | Pool | Network]] = {"guest": Guest, "pool": Pool, "network": Network}
    model = models.get(kind)
    if model is None:
        return None
    try:
        identity = uuid.UUID(key)
    except ValueError:
        return None
    return _one(model, identity, host_id)


def visible(user: User, declared: Operation, kind: str, key: str, host_id: int | None = None) -> Target:
    """The object for which a person wishes an operation; None both for one that is not there and for one that they
    may not see. It costs the same either way, and what they may not see makes nothing ambiguous.
    """
    if kind != declared.target:
        return None
    seen, may = VIEW_PERMISSION[kind], declared.permission
    if kind == "host":
        where = _either(user, seen, may, lambda name: on_hosts_where(user, name, "pk"))
        number = int(key) if key.isdecimal() and len(key) < 16 else 0
        return Host.objects.filter(where, pk=number).first()
    if kind == "guest":
        return _visible(
            Guest.objects.filter(_either(user, seen, may, lambda name: guests_where(user, name))), key, host_id
        )
    where = _either(user, seen, may, lambda name: on_hosts_where(user, name))
    if kind == "pool":
        return _visible(Pool.objects.filter(where), key, host_id)
    return _visible(Network.objects.filter(where), key, host_id)


def _either(user: User, one: str, other: str, filter_for: Callable[[str], Q]) -> Q:
    """The filter for objects on which the person has one permission or the other. (`Q()` says all, but not in an "or".)"""
    if can(user, one) or can(user, other):
        return Q()
    return filter_for(one) | filter_for(other)


def _visible(rows: QuerySet[Found], key: str, host_id: int | None) -> Found | None:
    try:
        rows = rows.filter(uuid=uuid.UUID(key))
    except ValueError:
        return None
    if host_id is not None:
        rows = rows.filter(host_id=host_id)
    found = list(rows.select_related("host")[:2])
    return found[0] if len(found) == 1 else None


def known_host(user: User, pk: int | None) -> Host | None:
    """The host, if it is there and this person may see it."""
    return Host.objects.filter(on_hosts_where(user, "host.view", "pk"), pk=pk).first() if pk is not None else None


def _one(model: type[Guest | Pool | Network], identity: uuid.UUID, host_id: int | None) -> Target:
    rows: list[Model] = list(
        model._default_manager.select_related("host").filter(
            uuid=identity, **({} if host_id is None else {"host_id": host_id})
        )[:2]
    )
    if len(rows) != 1:
        return None
    row = rows[0]
    return row if isinstance(row, Guest | Pool | Network) else None
