"""Registers the networks room with Django."""

from __future__ import annotations

from django.apps import AppConfig


class NetworksConfig(AppConfig):
    """The networks room."""

    name = "dashboard.networks"
    label = "networks"

    def ready(self) -> None:
        """Declare what is done to networks."""
        from dashboard.networks import operations  # noqa: F401
