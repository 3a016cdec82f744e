"""Callers of the API: browsers with a session, scripts with a token."""

from __future__ import annotations

from typing import Any

import django
import pytest

django.setup()  # a conftest named on the command line is read before pytest-django has done so

from django.core.cache import cache
from django.test import Client

from dashboard.accounts import tokens
from dashboard.accounts.models import ApiToken, User


def client_of(user: User, **options: Any) -> Client:
    client = Client(HTTP_HOST="127.0.0.1", **options)
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


class Script(Client):
    """A program that has a token."""

    def __init__(self, user: User, **scope: Any) -> None:
        self.token: ApiToken
        self.token, self.text = tokens.issue(user, "test", **scope)
        super().__init__(HTTP_HOST="127.0.0.1", HTTP_AUTHORIZATION=f"Bearer {self.text}")


@pytest.fixture
def administrator(db: None) -> User:
    return User.objects.create_user("ada", role="administrator")


@pytest.fixture
def counted(db: None) -> None:
    """Wrong tokens are counted from none on."""
    cache.clear()


@pytest.fixture(autouse=True)
def plain_names_of_static_files(settings: Any) -> None:
    """Nothing has been collected here."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
