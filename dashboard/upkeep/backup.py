"""Makes one file of all that kvmweb knows, consistently and while it runs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections, transaction
from django.utils import timezone

from dashboard.inventory import credentials
from dashboard.inventory.models import Host
from dashboard.upkeep import archive, rows
from kvmweb import __version__, env

SNAPSHOT = "snapshot"
MOMENTARY = (
    "sessions.session",
    "accounts.signin",
    "accounts.passwordlink",
    "accounts.counted",
    "account.emailconfirmation",
)
"""What is of the moment or opens a door: who is signed in, links that were given out, counters."""


class NotPossible(Exception):
    """Why there is no backup; the text says what to do."""


def make(target: Path, passphrase: str = "") -> archive.Manifest:
    """Write a backup to `target`, which must not exist: mode 0600, and there only when it is whole."""
    if target.exists():
        raise NotPossible(f"{target} exists already. Choose another name: an older backup is never written over.")
    if not target.parent.is_dir():
        raise NotPossible(f"The folder {target.parent} does not exist.")
    if rows.pending():
        raise NotPossible(
            "The database is that of an older version. Start kvmweb once, or run manage.py migrate, first."
        )
    if not credentials.can_read() and Host.objects.exclude(secrets="").exists():
        raise NotPossible(
            "Only KVMWEB_HOST_PUBLIC_KEY is here, so the backup would hold credentials of hosts that nothing opens. "
            "Make it where KVMWEB_HOST_KEYS is, too."
        )
    _room(target.parent)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            manifest = _collect(Path(folder))
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                archive.write(Path(folder), manifest, file, passphrase)
                file.flush()
                os.fsync(file.fileno())
        os.link(part, target)  # unlike a rename it fails where somebody else has made the file meanwhile
    except FileExistsError as error:
        raise NotPossible(f"{target} exists already.") from error
    except OSError as error:
        raise NotPossible(
            f"The backup could not be written: {error.strerror or error}. Nothing is left of it."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return manifest


def _room(folder: Path) -> None:
    """The rows as text are about as large as the database; the packed file comes beside them."""
    needed, free = int(size_of_database() * 1.3) + (8 << 20), shutil.disk_usage(folder).free
    if free < needed:
        raise NotPossible(
            f"{folder} has {free >> 20} MiB left, and a backup needs about {needed >> 20} MiB. Make room."
        )


def size_of_database() -> int:
    """Bytes that the database takes."""
    connection = connections["default"]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_database_size(current_database())")
        else:
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        return int(cursor.fetchone()[0])


def _collect(folder: Path) -> archive.Manifest:
    """Lay out what goes into the archive; what it says about itself."""
    (folder / "secrets").mkdir(mode=0o700)
    (folder / archive.SECRETS[0]).write_text(settings.SECRET_KEY, encoding="utf-8")
    (folder / archive.SECRETS[1]).write_text(",".join(settings.ENCRYPTION_KEYS), encoding="utf-8")
    if settings.HOST_KEYS:
        (folder / archive.SECRETS[2]).write_text(",".join(settings.HOST_KEYS), encoding="utf-8")
    counts: Counter[str] = Counter()
    with snapshot() as alias, (folder / archive.ROWS).open("w", encoding="utf-8") as file:
        for name, row in rows.read(apps, using=alias, without=MOMENTARY):
            file.write(json.dumps([name, row], ensure_ascii=False, separators=(",", ":")) + "\n")
            counts[name] += 1
    return archive.Manifest(
        version=__version__,
        made_at=timezone.now().isoformat(timespec="seconds"),
        machine=socket.gethostname(),
        database=connections["default"].vendor,
        migrations=rows.leaves(),
        rows=dict(counts),
        settings=_given(),
    )


def _given() -> dict[str, str]:
    """The settings that somebody gave, for whoever sets up the machine that this is restored on."""
    given = {}
    for name, setting in env.SETTINGS.items():
        if setting.kind == "secret":
            if os.environ.get(name) or os.environ.get(f"{name}_FILE"):
                given[name] = "(a secret that was given)"
        elif os.environ.get(name, setting.default) != setting.default:
            given[name] = os.environ[name]
    return given


@contextmanager
def snapshot() -> Iterator[str]:
    """A connection of its own that sees the database of one moment, and holds up nobody; its alias."""
    base: dict[str, Any] = connections.settings["default"]
    options = {name: value for name, value in base["OPTIONS"].items() if name != "pool"}
    if connections["default"].vendor == "postgresql":
        from psycopg import IsolationLevel

        options["isolation_level"] = IsolationLevel.REPEATABLE_READ
    else:
        options["transaction_mode"] = "DEFERRED"  # IMMEDIATE would keep writers out
    connections.settings[SNAPSHOT] = {**base, "OPTIONS": options}
    try:
        with transaction.atomic(using=SNAPSHOT):
            yield SNAPSHOT
    finally:
        with suppress(KeyError, AttributeError):
            connections[SNAPSHOT].close()
            del connections[SNAPSHOT]
        connections.settings.pop(SNAPSHOT, None)
