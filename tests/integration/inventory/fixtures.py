"""The fixture `mirror`, for the rooms whose tests need the monitor and the web process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.integration.inventory.mirror import Mirror
from tests.lab import database
from tests.lab.database import Database
from tests.lab.redis import RedisServer


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Database:
    """An empty, migrated database, copied for each test."""
    made = database.fresh(tmp_path_factory.mktemp("mirror"))
    with django_db_blocker.unblock(), made.as_default():
        call_command("migrate", verbosity=0)
    return made


@pytest.fixture
def mirror(tmp_path: Path, migrated: Database, redis_server: RedisServer, django_db_blocker: Any) -> Iterator[Mirror]:
    """An installation without hosts, whose processes do not run yet."""
    state = tmp_path / "state"
    state.mkdir()
    own = database.fresh(state, migrated)
    made = Mirror(state, own, redis_server)
    with redis_server.client() as client:
        client.flushall()
    with django_db_blocker.unblock(), own.as_default():
        try:
            yield made
        finally:
            made.stop()
    own.forget()
