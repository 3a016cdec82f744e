"""`manage.py setup_link`: the one-time link that makes the first administrator."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.urls import reverse

from dashboard.accounts.people import setup_token


class Command(BaseCommand):
    """Print the link, or nothing when there is an administrator."""

    help = "Print the one-time link that makes the first administrator; nothing when there is one."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it."""
        token = setup_token()
        if token:
            self.stdout.write(settings.PUBLIC_URL + reverse("accounts:setup", args=[token]))
