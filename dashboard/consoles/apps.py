"""Registers the consoles room with Django."""

from __future__ import annotations

from django.apps import AppConfig, apps


class ConsolesConfig(AppConfig):
    """The consoles room."""

    name = "dashboard.consoles"
    label = "consoles"

    def ready(self) -> None:
        """Register the room's operations, where jobs are known: not in the console processes themselves."""
        if not apps.is_installed("dashboard.jobs"):
            return
        from dashboard.consoles import operations  # noqa: F401
