"""The database's disk, PostgreSQL's, or Redis full: pages load and say so, changes are refused, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
from django.core.management import call_command

from dashboard.inventory.models import Guest, Host
from dashboard.jobs import service
from dashboard.jobs.models import Job
from tests.integration.inventory.mirror import Mirror
from tests.integration.jobs.conftest import Plant
from tests.integration.upkeep.installation import Installation
from tests.integration.upkeep.site import Visitor, filled, small_disk
from tests.lab.database import Database
from tests.lab.redis import RedisServer

BANNER = 'id="full-banner"'
PAGES = ("/guests/", "/hosts/", "/jobs/", "/healthz")
SECONDS = 30.0


class Site:
    """An installation with a worker, and olga who looks at it."""

    def __init__(self, folder: Path, state: Path, own: Database, redis: RedisServer) -> None:
        self.mirror = Mirror(state, own, redis)
        self.mirror.folder = folder
        self.plant = Plant(folder, redis)
        host = Host.objects.create(name="h1", transport="test", status="live")
        self.guest = Guest.objects.create(
            host=host, uuid="6b1d3c1e-2f0b-4a55-8f3e-000000000001", name="web-1", state="shutoff"
        )
        self.mirror.web()
        self.worker = self.plant.worker()
        self.visitor = Visitor(self.mirror, self.mirror.session(self.plant.user))

    def stop(self) -> None:
        self.plant.stop()
        self.mirror.stop()

    def change(self) -> tuple[int, Message, str]:
        """Ask for a change by the API."""
        path = f"/api/v1/guests/{self.guest.uuid}/operations/start"
        return self.visitor.ask("POST", path, {}, Accept="application/json")

    def is_read_only(self, what: str) -> None:
        """Every page says it; every way to change something is refused, and leaves no row behind."""
        until(lambda: self.visitor.health().get("status") == "read-only", "it is read-only")
        assert what in self.visitor.health()["full"]
        for path in PAGES[:-1]:
            assert BANNER in self.visitor.page(path), path
        before = Job.objects.count()
        status, headers, text = self.change()
        said = json.loads(text)
        assert (status, said["code"], headers["Content-Type"]) == (503, "read_only", "application/problem+json")
        assert "nothing was changed" in said["detail"]
        assert int(headers["Retry-After"]) > 0
        status, _headers, text = self.visitor.ask(
            "POST", "/guests/new/", "name=new-one&csrfmiddlewaretoken=" + "a" * 32, form=True, Accept="text/html"
        )
        assert status == 503
        assert "Nothing was changed" in text
        assert Job.objects.count() == before

    def is_itself_again(self) -> None:
        """Without anybody's doing."""
        until(lambda: self.visitor.health() == {"status": "ok"}, "it takes changes again")
        assert BANNER not in self.visitor.page("/guests/")
        status, _headers, text = self.change()
        assert status == 202, text


def until(true: object, what: str, seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, f"waited too long until {what}"
        time.sleep(0.2)


@pytest.fixture(scope="session")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Static files as nginx has them, and the list of their names that pages need."""
    site = Installation(tmp_path_factory.mktemp("collected"))
    site.done("collectstatic", "--no-input", "-v0")
    return site.state / "static"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer) -> Iterator[pytest.MonkeyPatch]:
    """An empty Redis."""
    with redis_server.client() as client:
        client.flushall()
        yield monkeypatch
        client.config_set("maxmemory", "0")


def enter(world: pytest.MonkeyPatch, state: Path, own: Database) -> None:
    world.setenv("KVMWEB_STATE_DIR", str(state))
    world.setenv("KVMWEB_DATABASE_URL", own.url)


@pytest.mark.parametrize("leave", [0, 4 * 2**20], ids=["not a byte left", "less left than is kept for what runs"])
def test_a_full_disk_makes_it_read_only_until_there_is_room(
    tmp_path: Path,
    world: pytest.MonkeyPatch,
    redis_server: RedisServer,
    collected: Path,
    django_db_blocker: object,
    leave: int,
) -> None:
    with small_disk(tmp_path / "disk", "64m") as disk:
        own = Database(file=disk / "kvmweb.sqlite3")
        with django_db_blocker.unblock(), own.as_default():  # type: ignore[attr-defined]
            call_command("migrate", verbosity=0)
            enter(world, disk, own)
            (disk / "static").symlink_to(collected)
            site = Site(tmp_path, disk, own, redis_server)
            try:
                hold = site.plant.trap("hold-after-two")
                job = site.plant.submit()
                until(lambda: "make two" in site.plant.calls(), "the job runs")
                with filled(disk, leave):
                    hold.unlink()
                    site.is_read_only("disk")
                    time.sleep(0 if leave else 25)  # longer than a lease
                    assert site.worker.poll() is None, site.plant.logs()
                assert site.plant.ended(job, 60).state == "succeeded"
                assert site.plant.calls() == ["make one", "make two", "make three"]
                assert site.plant.phases(job) == ["start", "end"]
                site.is_itself_again()
                assert site.worker.poll() is None
            finally:
                site.stop()


def test_a_redis_without_memory_makes_it_read_only_until_there_is_some(
    tmp_path: Path, world: pytest.MonkeyPatch, redis_server: RedisServer, own_database: Database, collected: Path
) -> None:
    state = tmp_path / "state"
    enter(world, state, own_database)
    (state / "static").symlink_to(collected)
    site = Site(tmp_path, state, own_database, redis_server)
    try:
        hold = site.plant.trap("hold-after-two")
        job, later = site.plant.submit(), None
        until(lambda: "make two" in site.plant.calls(), "the job runs")
        os.kill(site.worker.pid, signal.SIGSTOP)
        rung = site.plant.submit(tail="rung")
        with redis_server.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1")
            os.kill(site.worker.pid, signal.SIGCONT)  # it finds a ring that it cannot note down as taken
            hold.unlink()
            site.is_read_only("redis")
            assert site.plant.ended(job, 30).state == "succeeded"  # what runs needs no Redis
            later = service.submit(user=site.plant.user, operation="test.make", params={"tail": "later"})
            time.sleep(8)  # rings that cannot be rung
            assert site.worker.poll() is None, site.plant.logs()
            client.config_set("maxmemory", "0")
        for one in (rung, later):
            assert site.plant.ended(one, 60).state == "succeeded"
        assert site.worker.poll() is None, site.plant.logs()
        assert site.plant.phases(later) == ["start", "end"]
        site.is_itself_again()
    finally:
        site.stop()
