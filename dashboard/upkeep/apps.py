"""The room of backup, restore and health."""

from __future__ import annotations

from django.apps import AppConfig


class UpkeepConfig(AppConfig):
    """No models: it looks after those of others."""

    name = "dashboard.upkeep"
    label = "upkeep"
