"""Who decides by counting rows (the last administrator, a quota) takes turns with others who count the same."""

from __future__ import annotations

from django.db import connection


def take(what: str) -> None:
    """Wait until nobody else is at `what`, and keep others out until the surrounding transaction ends.

    Take the turn before the first look: what it rests on is then what the former one has committed. On SQLite every
    transaction that may write has the whole database for itself from its beginning.
    """
    if not connection.in_atomic_block:
        raise RuntimeError(f"a turn at {what!r} lasts as long as a transaction, and there is none")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"kvmweb {what}"])
