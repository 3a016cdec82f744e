"""The fixture `mirror`, for the rooms whose tests need the monitor and the web process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.integration.inventory.mirror import Mirror, database
from tests.lab.redis import RedisServer


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Path:
    """An empty, migrated database, copied for each test."""
    file = tmp_path_factory.mktemp("mirror") / "empty.sqlite3"
    with django_db_blocker.unblock(), database(file):
        call_command("migrate", verbosity=0)
    return file


@pytest.fixture
def mirror(tmp_path: Path, migrated: Path, redis_server: RedisServer, django_db_blocker: Any) -> Iterator[Mirror]:
    """An installation without hosts, whose processes do not run yet."""
    made = Mirror(tmp_path, redis_server)
    made.state.mkdir()
    (made.state / "kvmweb.sqlite3").write_bytes(migrated.read_bytes())
    with redis_server.client() as client:
        client.flushall()
    with django_db_blocker.unblock(), database(made.state / "kvmweb.sqlite3"):
        try:
            yield made
        finally:
            made.stop()
