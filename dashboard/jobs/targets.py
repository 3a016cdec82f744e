"""What an operation acts on: finds it by kind and key, names it for the job row, and names its lock."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Model

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
