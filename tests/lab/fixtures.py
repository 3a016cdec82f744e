"""The fixtures that every room's tests share; nothing starts before a test asks for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_module
from django.core.management import call_command

from tests.lab import database, guests
from tests.lab.database import Database
from tests.lab.hosts import Lab, LabHost
from tests.lab.redis import RedisServer

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab of this run, without hosts yet."""
    lab = Lab()
    yield lab
    lab.down()


@pytest.fixture(scope="session")
def lab_hosts(lab: Lab) -> Callable[[int], list[LabHost]]:
    """`lab_hosts(n)`: n libvirt hosts, the same ones for the whole run. Leave each as you found it."""
    return lab.up


@pytest.fixture(scope="session")
def lab_host(lab_hosts: Callable[[int], list[LabHost]]) -> LabHost:
    """One libvirt host, shared by the whole run. Leave it as you found it."""
    return lab_hosts(1)[0]


@pytest.fixture(scope="session")
def idle_image() -> Path:
    """Raw disk of the guest that costs nothing; `host.put()` copies it to a host."""
    return guests.idle_image()


@pytest.fixture(scope="session")
def tiny_images() -> guests.TinyImages:
    """Disk, kernel and initrd of the tiny Linux."""
    return guests.tiny_images()


@pytest.fixture
def make_guest(request: pytest.FixtureRequest) -> Iterator[Callable[..., guests.LabGuest]]:
    """`make_guest(host, name="", **as in guests.define)`: a guest that is removed after the test.

    Without `image`, `tiny` or `diskless=True` it is an idle one.
    """
    made: list[guests.LabGuest] = []

    def make(host: LabHost, name: str = "", *, diskless: bool = False, **options: Any) -> guests.LabGuest:
        if not diskless and not options.get("tiny") and not options.get("image"):
            options["image"] = request.getfixturevalue("idle_image")
        guest = guests.define(host, name or f"guest{next(_numbers)}", **options)
        made.append(guest)
        return guest

    yield make
    for guest in made:
        guest.remove()


@pytest.fixture(scope="module")
def tiny_guest(lab_host: LabHost, tiny_images: guests.TinyImages) -> Iterator[guests.LabGuest]:
    """A running tiny Linux on `lab_host` that has said READY on its serial line."""
    guest = guests.define(lab_host, f"tiny{next(_numbers)}", tiny=tiny_images, network="default", start=True)
    try:
        guest.wait_for_line("TINY READY")
        yield guest
    finally:
        guest.remove()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The private Redis that KVMWEB_REDIS_URL names; shared by the whole run."""
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis_module.Redis]:
    """A client of the private Redis, which is emptied first."""
    with redis_server.client() as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[Database]:
    """An empty database with all tables, to be copied."""
    made = database.fresh(tmp_path_factory.mktemp("migrated"))
    with django_db_blocker.unblock(), made.as_default():
        call_command("migrate", verbosity=0)
    yield made
    made.forget()


@pytest.fixture
def own_database(tmp_path: Path, migrated_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A database of the test's own, empty but for its tables, that threads and processes may use, too."""
    own = database.fresh(tmp_path / "state", migrated_database)
    with django_db_blocker.unblock(), own.as_default():
        yield own
    own.forget()
