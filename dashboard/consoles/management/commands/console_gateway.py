"""`manage.py console_gateway`: the process that carries guests' screens into browsers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dashboard.consoles.gateway import default_path, serve


class Command(BaseCommand):
    """Runs the console gateway in the foreground."""

    help = "Run the console gateway: VNC screens over WebSockets, one process per console."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to listen."""
        parser.add_argument(
            "--socket", default="", help="UNIX socket to listen on (default: console.sock in the run folder)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Listen until told to stop."""
        serve(options["socket"] or default_path())
