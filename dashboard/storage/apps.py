"""Registers the storage room with Django."""

from __future__ import annotations

from django.apps import AppConfig


class StorageConfig(AppConfig):
    """The storage room."""

    name = "dashboard.storage"
    label = "storage"

    def ready(self) -> None:
        """Declare what is done to storage."""
        from dashboard.storage import operations  # noqa: F401
