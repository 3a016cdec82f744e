"""`manage.py renew_keys`: other keys for what the database keeps sealed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard.upkeep import keys


class Command(BaseCommand):
    """Wants kvmweb stopped."""

    help = "Make new keys and seal hosts' credentials and second factors with them; the old keys open nothing any more."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and say what came of it."""
        try:
            report = keys.renew()
        except keys.Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Sealed anew: credentials of {report.hosts} hosts, {report.factors} second factors.")
        for lost in report.lost:
            self.stdout.write(f"Not readable with the keys that are here: {lost}.")
        for note in report.notes:
            self.stdout.write(note)
