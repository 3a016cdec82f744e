"""`manage.py doctor`: what is missing or broken on this machine, in plain words, and how to mend it."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from dashboard.hosts import doctor

MARKS = {"ok": "  ok    ", "note": "  note  ", "broken": "  BROKEN"}


class Command(BaseCommand):
    """Print every finding; exit with 1 when something is broken."""

    help = "Say in plain words what is missing or broken on this machine, and how to mend it."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Examine and print."""
        styles = {"ok": self.style.SUCCESS, "note": self.style.WARNING, "broken": self.style.ERROR}
        broken = 0
        for finding in doctor.examine():
            broken += finding.level == "broken"
            self.stdout.write(f"{styles[finding.level](MARKS[finding.level])}  {finding.text}")
            if finding.mend:
                self.stdout.write(f"            → {finding.mend}")
        self.stdout.write("")
        if broken:
            self.stdout.write(f"{broken} broken." if broken > 1 else "1 thing is broken.")
            sys.exit(1)
        self.stdout.write("Nothing is broken.")
