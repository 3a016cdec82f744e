"""Django's PostgreSQL backend, with one difference: a connection that broke is replaced at the next query.

Django replaces it between requests only. The threads of monitor, worker and live pages have none, and would ask a dead
connection for ever.
"""

from __future__ import annotations

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """One thread's connection."""

    def ensure_connection(self) -> None:
        """Have one that is open. Inside a transaction a broken one stays broken: what was written before is lost."""
        if self.connection is not None and not self.in_atomic_block and self.connection.closed:
            self.close()
        super().ensure_connection()
