"""Lets a test's database be emptied between tests: the audit log refuses that, and nothing but a test may do it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from django.db import connections
from django.db.backends.base.operations import BaseDatabaseOperations

TABLE = "accounts_auditentry"


def let_flush() -> None:
    """From now on in this process, Django's flush lifts the log's protection for as long as it runs."""
    plain = BaseDatabaseOperations.execute_sql_flush

    def flush(self: Any, statements: Sequence[str]) -> None:
        migration = import_module("dashboard.accounts.migrations.0003_audit_append_only")
        connection = connections[self.connection.alias]
        if not any(TABLE in statement for statement in statements):
            plain(self, statements)
            return
        vendor = connection.vendor
        plain(self, [*migration.UNPROTECT[vendor], *statements, *migration.PROTECT[vendor]])

    BaseDatabaseOperations.execute_sql_flush = flush  # type: ignore[method-assign]
