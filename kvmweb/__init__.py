"""Wiring of the kvmweb project: settings, URLs, ASGI and Celery. No business logic."""

__version__ = "0.1.0"
