"""Wiring of the kvmweb project: settings, URLs, ASGI and Celery. No business logic."""

__version__ = "0.2.0.dev0"
