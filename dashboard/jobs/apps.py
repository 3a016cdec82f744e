"""Registers the jobs room with Django."""

from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """The jobs room."""

    name = "dashboard.jobs"
    label = "jobs"
