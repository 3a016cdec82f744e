"""Puts a backup in place of an empty installation, or with `replace` of this one: whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from dashboard.accounts.models import User
from dashboard.inventory.models import Host
from dashboard.upkeep import aftermath, archive, backup, rows, stillness
from kvmweb import env, secrets

SECRET_SETTINGS = {
    "secrets/django": "KVMWEB_SECRET_KEY",
    "secrets/encryption": "KVMWEB_ENCRYPTION_KEYS",
    "secrets/hosts": "KVMWEB_HOST_KEYS",
}
FILES = ("", "-wal", "-shm")
PLACES = {"KVMWEB_STATE_DIR"}
"""Settings that are this machine's own."""

TRIGGER_FUNCTIONS = (
    "SELECT DISTINCT pg_trigger.tgfoid::regprocedure::text FROM pg_trigger "
    "JOIN pg_class ON pg_class.oid = pg_trigger.tgrelid "
    "WHERE NOT pg_trigger.tgisinternal AND pg_class.relname = ANY(%s)"
)


class Refused(Exception):
    """Why nothing was restored; the text says what to do."""


@dataclass
class Report:
    """What a restore did."""

    manifest: archive.Manifest
    counts: dict[str, int]
    aside: Path | None = None
    """Where the installation is that was here before."""
    notes: list[str] = field(default_factory=list)


def run(source: Path, *, replace: bool = False, passphrase: str = "", keys: Path | None = None) -> Report:
    """Restore; kvmweb must not be running. Raises Refused or archive.BadArchive, and then all is as it was.

    `keys`: files of keys below this folder are the installation's own, and the backup's take their place.
    """
    state: Path = settings.STATE_DIR
    with stillness.kept() as reason, tempfile.TemporaryDirectory(prefix=".restore-", dir=state) as folder:
        if reason:
            raise Refused(reason)
        there = Path(folder)
        manifest = archive.read(source, there, passphrase)
        _check(manifest, there, keys)
        aside = _make_way(state, replace=replace)
        report = Report(manifest, {}, aside)
        real = Path(connections.settings["default"]["NAME"])
        try:
            with _building(there):
                rows.write(_shape(manifest), _lines(there))
                _after_each()
                rows.migrate(each=_after_each)
                report.counts = aftermath.settle(manifest)
        except (DatabaseError, LookupError, ValueError, TypeError, OSError) as error:
            if aside is not None:
                shutil.rmtree(aside)
            raise Refused(f"The backup could not be restored, and all is as it was: {error}") from error
        if connection.vendor != "postgresql":
            _swap(there / real.name, real, aside)
        for name in archive.SECRETS:
            if target := _place(name, keys):
                _put_secret(there / name, target, aside)
        aftermath.empty_redis()
    report.notes = _notes(manifest)
    return report


def _check(manifest: archive.Manifest, there: Path, keys: Path | None) -> None:
    if newer := rows.unknown(manifest.migrations):
        raise Refused(
            f"The backup was made by a newer kvmweb ({manifest.version}; unknown here: {', '.join(newer)}). "
            "Install that version or a later one, and restore there."
        )
    for name, setting in SECRET_SETTINGS.items():
        given = _place(name, keys) is None
        if given and (there / name).exists() and not _fits(name, (there / name).read_text(encoding="utf-8")):
            raise Refused(
                f"{setting} is given here and is another than the backup's: what is encrypted could not be read. "
                f"Leave {setting} away, and the backup's own key is put in its place."
            )


def _place(name: str, keys: Path | None) -> Path | None:
    """Where the backup's secret goes; None where a setting gives one that stays."""
    setting = SECRET_SETTINGS[name]
    file = os.environ.get(f"{setting}_FILE", "")
    if file and keys is not None and Path(file).is_relative_to(keys):
        return Path(file)
    return None if file or os.environ.get(setting) else Path(settings.STATE_DIR) / name


def _fits(name: str, kept: str) -> bool:
    """Whether the key that is given here opens what the backup's key has sealed."""
    if name == "secrets/encryption":
        return {key.strip() for key in kept.split(",")} <= {key.strip() for key in settings.ENCRYPTION_KEYS}
    if name == "secrets/hosts":
        return {key.strip() for key in kept.split(",")} <= set(settings.HOST_KEYS)
    return True  # another signing key only ends sessions, and there are none


def _make_way(state: Path, *, replace: bool) -> Path | None:
    """Keep what is here in a folder of its own; None where nothing is."""
    if not _inhabited():
        return None
    if not replace:
        raise Refused(
            "This installation is in use: it has people or hosts. Restore on a clean machine, or say --replace: "
            "what is here is then kept aside in the state folder."
        )
    aside = state / f"replaced-{timezone.now():%Y%m%d-%H%M%S}"
    aside.mkdir(mode=0o700)
    try:
        backup.make(aside / "kvmweb-backup.tar.gz")
    except backup.NotPossible as error:
        if connection.vendor == "postgresql":
            raise Refused(f"What is here could not be kept aside: {error}") from error
        # Too old or too broken to be read: the file itself is kept below.
    return aside


def _inhabited() -> bool:
    if connection.vendor == "sqlite" and not Path(connections.settings["default"]["NAME"]).exists():
        return False
    try:
        with transaction.atomic():
            return User.objects.exists() or Host.objects.exists()
    except DatabaseError:
        return bool(connection.introspection.table_names())  # another shape, or broken: somebody's all the same


def _shape(manifest: archive.Manifest) -> Any:
    return rows.migrate(manifest.migrations, each=_after_each)


def _after_each() -> None:
    """PostgreSQL alters no table on which checks are still to be made."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")


@contextmanager
def _building(there: Path) -> Iterator[None]:
    """Django's default database is an empty one: on PostgreSQL in the old one's place if the block succeeds, else a file."""
    if connection.vendor == "postgresql":
        with transaction.atomic():  # all of it, tables too, appears at once or not at all
            _drop_tables()
            yield
        return
    real = Path(connections.settings["default"]["NAME"])
    fresh = there / real.name
    connection.close()
    connections.settings["default"]["NAME"] = str(fresh)
    connections["default"] = connections.create_connection("default")
    try:
        yield
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        fresh.chmod(0o600)
        if real.exists():
            secrets.belong_like(fresh, real)
    finally:
        connections["default"].close()
        connections.settings["default"]["NAME"] = str(real)
        connections["default"] = connections.create_connection("default")


def _swap(fresh: Path, real: Path, aside: Path | None) -> None:
    """Put the new file in the old one's place. The old one's log must not be taken for the new one's."""
    for end in FILES:
        old = real.with_name(real.name + end)
        if old.exists() and aside is not None:
            old.rename(aside / old.name)
        else:
            old.unlink(missing_ok=True)
    fresh.rename(real)


def _drop_tables() -> None:
    """Ours only, and the functions of their triggers: somebody may keep other things in the same database."""
    labels = {config.label for config in apps.get_app_configs()} | {"django"}
    with connection.cursor() as cursor:
        ours = [name for name in connection.introspection.table_names(cursor) if name.partition("_")[0] in labels]
        cursor.execute(TRIGGER_FUNCTIONS, [ours])
        functions = [row[0] for row in cursor.fetchall()]
        for table in ours:
            cursor.execute(f"DROP TABLE IF EXISTS {connection.ops.quote_name(table)} CASCADE")
        for function in functions:
            cursor.execute(f"DROP FUNCTION {function}")


def _lines(there: Path) -> Iterator[tuple[str, rows.Row]]:
    with (there / archive.ROWS).open(encoding="utf-8") as file:
        for line in file:
            name, row = json.loads(line)
            yield name, row


def _put_secret(source: Path, target: Path, aside: Path | None) -> None:
    """Those of the backup, and no other: what only the installation before this one had goes with it."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if target.exists() and aside is not None:
        secrets.replace(aside / f"secret-{target.name}", target.read_text(encoding="utf-8"))
    if source.exists():
        ours = target.is_relative_to(settings.STATE_DIR)
        secrets.replace(target, source.read_text(encoding="utf-8"), shared=not ours)
    elif aside is not None:
        target.unlink(missing_ok=True)


def _notes(manifest: archive.Manifest) -> list[str]:
    """What whoever restores should know."""
    notes = [
        "Everybody signs in anew; console tickets and password links are void.",
        "Passwords, tokens and rights are those of the backup: what was changed or taken away since is as before again.",
        "Hosts are compared with their libvirt when kvmweb starts; until then their virtual machines are unknown.",
    ]
    given = {name: value for name, value in manifest.settings.items() if name in env.SETTINGS.keys() - PLACES}
    if given:
        notes.append("Settings that were given there: " + ", ".join(f"{name}={value}" for name, value in given.items()))
    return notes
