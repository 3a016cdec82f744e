"""The one place that decides who may do what: `can`, and the scope that filters lists and live messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboard.accounts.permissions import PERMISSIONS, ROLES

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from dashboard.accounts.models import User


def permissions_of(user: User | AnonymousUser) -> frozenset[str]:
    """All permissions that `user` has; none for nobody and for a disabled person."""
    if not user.is_authenticated or not user.is_active:
        return frozenset()
    return ROLES.get(user.role, frozenset())


def can(user: User | AnonymousUser, permission: str, object: Any = None) -> bool:
    """Whether `user` has `permission` on `object` (a Host, Guest, Pool, Network, Job; None: on everything).

    An undeclared permission is a programming error and raises KeyError. Roles are granted on everything today;
    callers pass the object all the same, because grants on a host, tag or guest are decided here and nowhere else.
    """
    if permission not in PERMISSIONS:
        raise KeyError(f"permission {permission!r} is not declared")
    return permission in permissions_of(user)


@dataclass(frozen=True)
class Scope:
    """What one person may see on the live stream; loaded once at connect, again when rights change."""

    user_id: int
    permissions: frozenset[str]

    def sees(self, message: dict[str, Any]) -> bool:
        """Whether a live message (see `dashboard.live`) may be delivered to this person."""
        kind = message.get("k")
        if kind == "job":
            return "job.view" in self.permissions or message.get("user") == self.user_id
        needed = {
            "guest": "guest.view",
            "metrics": "guest.view",
            "host": "host.view",
            "pool": "storage.view",
            "volume": "storage.view",
            "network": "network.view",
        }.get(str(kind))
        return needed is not None and needed in self.permissions


def scope_of(user: User) -> Scope:
    """The person's scope as of now."""
    return Scope(user_id=user.pk, permissions=permissions_of(user))
