"""`manage.py restore FILE`: an installation from a backup."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard.upkeep import restore
from dashboard.upkeep.archive import BadArchive
from dashboard.upkeep.management.passphrase import add_argument, passphrase_of


class Command(BaseCommand):
    """Wants kvmweb stopped."""

    help = "Put the backup FILE in place of this empty installation (or, with --replace, of this one)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """FILE, the passphrase, and the permission to replace."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--replace", action="store_true", help="keep what is here aside and put the backup there")
        parser.add_argument(
            "--keys",
            type=Path,
            metavar="FOLDER",
            help="put the backup's keys into the files that settings name below FOLDER",
        )
        add_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Restore and say what came of it."""
        source: Path = options["file"]
        if not source.is_file():
            raise CommandError(f"There is no file {source}.")
        try:
            report = restore.run(
                source, replace=options["replace"], passphrase=passphrase_of(options), keys=options["keys"]
            )
        except (restore.Refused, BadArchive) as error:
            raise CommandError(str(error)) from error
        manifest = report.manifest
        self.stdout.write(
            f"Restored: {sum(manifest.rows.values())} rows as of {manifest.made_at} from {manifest.machine} "
            f"(kvmweb {manifest.version}, {manifest.database})."
        )
        if report.counts["jobs"]:
            self.stdout.write(
                f"{report.counts['jobs']} jobs had not ended then: they are not run again and need attention."
            )
        if report.aside:
            self.stdout.write(f"What was here before is in {report.aside}.")
        for note in report.notes:
            self.stdout.write(note)
