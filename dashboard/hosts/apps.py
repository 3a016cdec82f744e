"""Registers the hosts room with Django, and its operations."""

from __future__ import annotations

from django.apps import AppConfig


class HostsConfig(AppConfig):
    """The hosts room."""

    name = "dashboard.hosts"
    label = "hosts"

    def ready(self) -> None:
        """Declare what is done to hosts."""
        from dashboard.hosts import operations  # noqa: F401
