"""What the audit log says of consoles: who opened which, and whether only to watch."""

from __future__ import annotations

from dashboard.accounts.audit import record
from dashboard.consoles.admission import Admission


def remember(admission: Admission) -> None:
    """One entry for a console that opens."""
    guest, ticket = admission.guest, admission.ticket
    record(
        actor=admission.user,
        action="console.open",
        phase="event",
        object_kind="guest",
        object_key=ticket.uuid,
        object_name=guest.name,
        host_name=guest.host.name,
        result="ok",
        source_ip=ticket.source_ip,
        detail={"kind": ticket.kind, "view_only": ticket.view_only},
    )
