"""Many guests at once: which ones are meant, how many of them each operation fits, and why it does not fit the others."""

from __future__ import annotations

from dashboard.accounts.access import can_somewhere
from dashboard.accounts.models import User
from dashboard.jobs.operation import OPERATIONS, Operation


def operations() -> list[Operation]:
    """The guests' operations that may be done to many, in the order of their declaration."""
    return [one for one in OPERATIONS.values() if one.many is not None and one.target == "guest"]


def may(user: User) -> bool:
    """Whether the person may do any of them to any guest: who may not needs no boxes to tick."""
    return any(can_somewhere(user, permission) for permission in {one.permission for one in operations()})
