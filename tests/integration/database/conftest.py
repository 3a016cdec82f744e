"""A PostgreSQL of the test's own that may be killed, with an installation's processes around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest

django.setup()  # a conftest named on the command line is read before pytest-django has done so

from django.core.management import call_command

from tests.integration.inventory.mirror import Mirror
from tests.integration.jobs.conftest import Plant
from tests.lab.database import Database, close_pool
from tests.lab.postgres import PostgresServer
from tests.lab.redis import RedisServer


class Mortal:
    """A PostgreSQL that keeps what it has promised when it is killed."""

    def __init__(self) -> None:
        self.server = PostgresServer()
        self.start()

    def start(self) -> None:
        self.server.start(synchronous_commit="on")

    def kill(self) -> None:
        """As a power cut; the test's own connection goes with it."""
        close_pool()
        self.server.kill()

    def stop(self) -> None:
        self.server.stop()


@pytest.fixture(scope="session")
def _mortal() -> Iterator[Mortal]:
    made = Mortal()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def _template(_mortal: Mortal, django_db_blocker: Any) -> Database:
    template = Database(name=_mortal.server.create(), on=_mortal.server)
    with django_db_blocker.unblock(), template.as_default():
        call_command("migrate", verbosity=0)
    return template


@pytest.fixture
def mortal(_mortal: Mortal) -> Iterator[Mortal]:
    """The PostgreSQL, running; it runs again afterwards."""
    yield _mortal
    if _mortal.server.process is None:
        _mortal.start()


@pytest.fixture
def its_database(mortal: Mortal, _template: Database, django_db_blocker: Any) -> Iterator[Database]:
    """An empty database with all tables in it, Django's default one here."""
    own = Database(name=mortal.server.create(_template.name), on=mortal.server)
    with django_db_blocker.unblock(), own.as_default():
        yield own
    own.forget()


@pytest.fixture
def plant(
    tmp_path: Path, its_database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Plant]:
    """Workers on that database, none yet."""
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("KVMWEB_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("KVMWEB_DATABASE_URL", its_database.url)
    with redis_server.client() as client:
        client.flushall()
    made = Plant(tmp_path, redis_server)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def mirror(tmp_path: Path, its_database: Database, redis_server: RedisServer) -> Iterator[Mirror]:
    """An installation on that database, whose processes do not run yet."""
    (tmp_path / "state").mkdir()
    with redis_server.client() as client:
        client.flushall()
    made = Mirror(tmp_path / "state", its_database, redis_server)
    try:
        yield made
    finally:
        made.stop()
