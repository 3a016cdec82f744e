"""Whether an installation stands still, and keeping it so: a restore may not happen under running processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings
from django.db import connection, connections


@contextmanager
def kept() -> Iterator[str]:
    """Hold the locks of launcher and monitor; yields why it does not stand still, or "" when it does."""
    held = []
    try:
        reason = ""
        for name in ("lock", "monitor.lock"):
            path = settings.RUN_DIR / name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.append(descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                reason = f"kvmweb runs with the state folder {settings.STATE_DIR}. Stop it first."
        yield reason or _users_of_database()
    finally:
        for descriptor in held:
            os.close(descriptor)


def _users_of_database() -> str:
    if connection.vendor == "postgresql":
        return _other_connections()
    name = str(connections.settings["default"]["NAME"])
    pids = sorted({pid for pid in _who_has_open(name) if pid != os.getpid()})
    if pids:
        return f"Other processes have {name} open ({', '.join(map(str, pids))}). Stop kvmweb first."
    return ""


def _other_connections() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend' AND application_name <> current_setting('application_name')"
        )
        number = int(cursor.fetchone()[0])
    if number:
        return f"{number} other connections to the database are open. Stop all processes of kvmweb first."
    return ""


def _who_has_open(name: str) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is another person's
            if any(str(descriptor.readlink()) == name for descriptor in (process / "fd").iterdir()):
                yield int(process.name)
