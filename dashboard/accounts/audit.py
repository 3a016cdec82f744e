"""The only writer of the audit log."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from dashboard.accounts.models import AuditEntry, User


def entry(
    *,
    actor: User | None,
    action: str,
    phase: str,
    object_kind: str = "",
    object_key: str = "",
    object_name: str = "",
    host_name: str = "",
    result: str = "",
    source_ip: str = "",
    job_id: uuid.UUID | None = None,
    detail: dict[str, Any] | None = None,
) -> AuditEntry:
    """One entry, not yet written. `phase` is "start" or "end" of a job, "event", or "denied"; `detail` never holds secrets."""
    return AuditEntry(
        actor=actor,
        actor_name=actor.get_username() if actor else "",
        action=action,
        phase=phase,
        object_kind=object_kind,
        object_key=object_key,
        object_name=object_name[:255],
        host_name=host_name,
        result=result,
        source_ip=source_ip,
        job_id=job_id,
        detail=detail or {},
    )


def record(**fields: Any) -> AuditEntry:
    """Append one entry; the fields are those of `entry`."""
    written = entry(**fields)
    written.save()
    return written


def record_all(entries: Iterable[AuditEntry]) -> None:
    """Append many entries of `entry` at once: the starts and ends of jobs on many objects."""
    AuditEntry.objects.bulk_create(entries, batch_size=500)
