"""Registers the api room with Django."""

from __future__ import annotations

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """The api room."""

    name = "dashboard.api"
    label = "api"
