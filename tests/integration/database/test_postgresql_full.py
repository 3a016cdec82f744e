"""PostgreSQL without room for its tables: changes are refused when it says so, and taken again when there is room."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from dashboard.inventory.models import Guest, Host
from dashboard.jobs.models import Job
from tests.integration.database.conftest import Mortal
from tests.integration.inventory.mirror import Mirror
from tests.integration.upkeep.site import Visitor, filled
from tests.lab.database import Database
from tests.lab.postgres import EMPTY
from tests.lab.redis import RedisServer


@contextmanager
def small_space(mortal: Mortal) -> Iterator[Path]:
    """A file system of 64 MiB that belongs to PostgreSQL, known to it as the tablespace `small`."""
    place = mortal.server.folder / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], check=True)
    owner = mortal.server.folder.stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    place.chmod(0o700)
    try:
        with psycopg.connect(mortal.server.url(EMPTY), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{place}'".encode())
        yield place
        with psycopg.connect(mortal.server.url(EMPTY), autocommit=True) as connection:
            connection.execute(b"DROP DATABASE IF EXISTS crowded WITH (FORCE)")
            connection.execute(b"DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        place.rmdir()


@pytest.fixture
def crowded(mortal: Mortal, django_db_blocker: Any) -> Iterator[tuple[Database, Path]]:
    """A database with all tables on the small file system."""
    with small_space(mortal) as place:
        with psycopg.connect(mortal.server.url(EMPTY), autocommit=True) as connection:
            connection.execute(b"CREATE DATABASE crowded TEMPLATE template0 TABLESPACE small")
        own = Database(name="crowded", on=mortal.server)
        with django_db_blocker.unblock(), own.as_default():
            call_command("migrate", verbosity=0)
            yield own, place


def change(visitor: Visitor, guest: Guest) -> tuple[int, dict[str, Any]]:
    """Ask for a change that takes some room."""
    notes = {"description": "x" * 2000}
    path = f"/api/v1/guests/{guest.uuid}/operations/description"
    status, _headers, text = visitor.ask("POST", path, notes, Accept="application/json")
    return status, json.loads(text)


def test_what_is_refused_leaves_nothing_and_what_is_taken_is_whole(
    tmp_path: Path, crowded: tuple[Database, Path], redis_server: RedisServer
) -> None:
    own, place = crowded
    with redis_server.client() as client:
        client.flushall()
    (tmp_path / "state").mkdir()
    mirror = Mirror(tmp_path / "state", own, redis_server)
    host = Host.objects.create(name="h1", transport="test", status="live")
    guests = [
        Guest.objects.create(
            host=host, uuid=f"6b1d3c1e-2f0b-4a55-8f3e-{number:012}", name=f"g{number}", state="shutoff"
        )
        for number in range(120)
    ]
    try:
        mirror.web()
        visitor = Visitor(mirror, mirror.session(mirror.person()))
        with filled(place):
            answers = [change(visitor, guest) for guest in guests]
            refused = [said for status, said in answers if status == 503]
            taken = [status for status, _said in answers if status == 202]
            assert len(refused) + len(taken) == len(guests), answers[-1]
            assert refused, "there was room after all"
            assert {said["code"] for said in refused} == {"read_only"}
            assert Job.objects.count() == len(taken)
            assert visitor.health()["full"] == ["database"]
        until = time.monotonic() + 30
        while visitor.health() != {"status": "ok"}:
            assert time.monotonic() < until
            time.sleep(0.5)
        status, said = change(visitor, guests[-1])
        assert status == 202, said
    finally:
        mirror.stop()
