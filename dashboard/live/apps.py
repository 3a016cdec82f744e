"""Registers the live room with Django."""

from __future__ import annotations

from django.apps import AppConfig


class LiveConfig(AppConfig):
    """The live room."""

    name = "dashboard.live"
    label = "live"
