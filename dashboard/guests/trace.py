"""What the audit log says of changes that no job makes: notes."""

from __future__ import annotations

from dashboard.accounts.audit import record
from dashboard.accounts.models import User
from dashboard.inventory.models import Guest


def notes_changed(user: User, guest: Guest, length: int, source_ip: str) -> None:
    """One entry for notes that were saved; what they say is no matter of the log."""
    record(
        actor=user,
        action="guest.notes",
        phase="event",
        object_kind="guest",
        object_key=str(guest.uuid),
        object_name=guest.name,
        host_name=guest.host.name,
        result="ok",
        source_ip=source_ip,
        detail={"length": length},
    )
