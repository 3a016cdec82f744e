"""Registers the inventory room with Django."""

from __future__ import annotations

from django.apps import AppConfig


class InventoryConfig(AppConfig):
    """The inventory room."""

    name = "dashboard.inventory"
    label = "inventory"
