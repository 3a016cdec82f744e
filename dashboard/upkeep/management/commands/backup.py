"""`manage.py backup FILE`: everything that kvmweb knows in one file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard.upkeep import backup
from dashboard.upkeep.management.passphrase import add_argument, passphrase_of


class Command(BaseCommand):
    """Works while kvmweb runs."""

    help = (
        "Write a backup of kvmweb itself (people, hosts, jobs, audit log, keys) to FILE; guests' disks are not in it."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """FILE and the passphrase."""
        parser.add_argument("file", type=Path)
        add_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it and say what it is worth."""
        target: Path = options["file"].absolute()
        sealed = passphrase_of(options)
        try:
            manifest = backup.make(target, sealed)
        except backup.NotPossible as error:
            raise CommandError(str(error)) from error
        rows = sum(manifest.rows.values())
        self.stdout.write(f"{target}: {target.stat().st_size >> 10} KiB, {rows} rows, kvmweb {manifest.version}.")
        if not sealed:
            self.stdout.write(
                "It holds the keys to all hosts and is not sealed: keep it where nobody else can read it."
            )
