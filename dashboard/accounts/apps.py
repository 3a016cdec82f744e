"""Registers the accounts room with Django."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """The accounts room."""

    name = "dashboard.accounts"
    label = "accounts"
