"""`manage.py monitor`: watches every host and keeps the mirror."""

from __future__ import annotations

import fcntl
import signal
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dashboard.inventory.monitor import Monitor


class Command(BaseCommand):
    """Runs until SIGTERM or SIGINT."""

    help = "Watch every host and keep the mirror in the database. One process per installation."
    # The checks load every page of the web process, 20 MB that a process of this kind would keep for ever.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the monitor."""
        path = Path(settings.RUN_DIR) / "monitor.lock"
        with path.open("w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CommandError("Another monitor runs already; there is one per installation.") from error
            monitor = Monitor()

            def stop(_signal: int, _frame: FrameType | None) -> None:
                monitor.stop()

            signal.signal(signal.SIGTERM, stop)
            signal.signal(signal.SIGINT, stop)
            monitor.run()
