"""Registers the storage room with Django."""

from __future__ import annotations

from django.apps import AppConfig


class StorageConfig(AppConfig):
    """The storage room."""

    name = "dashboard.storage"
    label = "storage"
