"""Wiring of the kvmweb project: settings, URLs, ASGI and Celery. No business logic."""
