"""Registers the inventory room with Django."""

from __future__ import annotations

from django.apps import AppConfig


class InventoryConfig(AppConfig):
    """The inventory room."""

    name = "dashboard.inventory"
    label = "inventory"

    def ready(self) -> None:
        """Tell accounts what hosts, tags and guests are called."""
        from dashboard.inventory import places  # noqa: F401
