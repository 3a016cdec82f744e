"""The fixture `mirror`, for the rooms whose tests need the monitor and the web process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.inventory.mirror import Mirror
from tests.lab.database import Database
from tests.lab.redis import RedisServer


@pytest.fixture
def mirror(tmp_path: Path, own_database: Database, redis_server: RedisServer) -> Iterator[Mirror]:
    """An installation without hosts, whose processes do not run yet."""
    made = Mirror(tmp_path / "state", own_database, redis_server)
    with redis_server.client() as client:
        client.flushall()
    try:
        yield made
    finally:
        made.stop()
