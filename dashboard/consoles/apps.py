"""Registers the consoles room with Django."""

from __future__ import annotations

from django.apps import AppConfig


class ConsolesConfig(AppConfig):
    """The consoles room."""

    name = "dashboard.consoles"
    label = "consoles"

    def ready(self) -> None:
        """Register the room's operations."""
        from dashboard.consoles import operations  # noqa: F401
