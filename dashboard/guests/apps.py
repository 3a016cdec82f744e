"""Registers the guests room with Django."""

from __future__ import annotations

from django.apps import AppConfig


class GuestsConfig(AppConfig):
    """The guests room."""

    name = "dashboard.guests"
    label = "guests"
