"""Registers the accounts room with Django and audits sign-in and sign-out."""

from __future__ import annotations

from django.apps import AppConfig, apps


class AccountsConfig(AppConfig):
    """The accounts room."""

    name = "dashboard.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Connect the audit of sessions, and who is told when rights change."""
        from dashboard.accounts import concerned, signals  # noqa: F401

        if apps.is_installed("allauth.mfa"):  # not in the processes of consoles
            from dashboard.accounts import audited  # noqa: F401
