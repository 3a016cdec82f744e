"""Two people, a host and a guest, for every room's unit tests that want no others."""

from __future__ import annotations

import uuid

import django
import pytest

django.setup()  # a conftest named on the command line is read before pytest-django has done so

from dashboard.accounts.models import User
from dashboard.inventory.models import Guest, Host


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_user("olga", role="operator")


@pytest.fixture
def viewer(db: None) -> User:
    return User.objects.create_user("vic", role="viewer")


@pytest.fixture
def host(db: None) -> Host:
    return Host.objects.create(name="alpha", transport="test", status="live")


@pytest.fixture
def guest(host: Host) -> Guest:
    return Guest.objects.create(host=host, uuid=uuid.uuid4(), name="web1", state="shutoff")
