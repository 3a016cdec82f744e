"""Registers the guests room with Django, and its operations."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class GuestsConfig(AppConfig):
    """The guests room."""

    name = "dashboard.guests"
    label = "guests"

    def ready(self) -> None:
        """Declare what can be done to guests."""
        import_module("dashboard.guests.operations")
