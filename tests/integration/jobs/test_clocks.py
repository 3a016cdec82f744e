"""Clocks that are wrong: workers and a web process off by minutes, on one database whose clock alone counts for leases."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.lab.clock import WrongClock
from tests.lab.hosts import wait_for
from tests.lab.postgres import PostgresServer
from tests.lab.redis import RedisServer

ROOT = Path(__file__).resolve().parents[3]
WORKER = ["-m", "celery", "-A", "kvmweb", "worker", "-P", "threads", "-c", "4", "-Q", "actions,slow,many"]
QUIET = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-I", "tests.integration.jobs.operations"]
SUBMIT = """
import tests.integration.jobs.operations
from dashboard.accounts.models import User
from dashboard.jobs import service
user = User.objects.filter(username="olga").first() or User.objects.create_user("olga", role="operator")
print(service.submit(user=user, operation="test.make", params={}).pk)
"""


class Fleet:
    """Processes of one installation on PostgreSQL, each with a clock of its own. A private database has its own clock."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.world = folder / "world"
        (self.world / "things").mkdir(parents=True)
        self.env = {
            **os.environ,
            "KVMWEB_STATE_DIR": str(folder / "state"),
            "KVMWEB_DATABASE_URL": url,
            "JOBS_TEST_WORLD": str(self.world),
        }
        self.workers: list[subprocess.Popen[bytes]] = []

    def manage(self, *argv: str, env: dict[str, str] | None = None) -> str:
        command = [sys.executable, "manage.py", *argv]
        done = subprocess.run(
            command, cwd=ROOT, env=self.env | (env or {}), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, **env: str) -> str:
        return self.manage("shell", "-v", "0", "-c", SUBMIT, env=env).split()[-1]

    def worker(self, **env: str) -> subprocess.Popen[bytes]:
        log = self.folder / f"worker-{len(self.workers)}.log"
        argv = [sys.executable, *WORKER, *QUIET, "--loglevel", "INFO", "-n", f"w{len(self.workers)}@test"]
        with log.open("wb") as output:
            process = subprocess.Popen(argv, cwd=ROOT, env=self.env | env, stdout=output, stderr=subprocess.STDOUT)
        self.workers.append(process)
        wait_for(lambda: b" ready." in log.read_bytes(), seconds=60, saying="the worker is ready")
        return process

    def job(self, key: str) -> dict[str, Any]:
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            row = connection.execute("SELECT * FROM jobs_job WHERE id = %s", [key]).fetchone()
            assert row is not None
            return row

    def ended(self, key: str, seconds: float = 40) -> dict[str, Any]:
        wait_for(lambda: self.job(key)["finished_at"], seconds=seconds, saying=f"it ended: {self.job(key)}")
        return self.job(key)

    def calls(self) -> list[str]:
        path = self.world / "calls"
        return [line.rsplit(" ", 1)[0] for line in path.read_text().splitlines()] if path.exists() else []

    def hold(self, place: str) -> Path:
        path = self.world / f"hold-{place}"
        path.touch()
        return path


@pytest.fixture
def fleet(tmp_path: Path, redis_server: RedisServer) -> Iterator[Fleet]:
    server = PostgresServer()
    server.start()
    with redis_server.client() as client:
        client.flushall()
    made = Fleet(tmp_path, server.url(server.create()))
    try:
        made.manage("migrate", "-v", "0")
        yield made
    finally:
        for worker in made.workers:
            worker.kill()
            worker.wait()
        server.stop()
        if redis_server.process is None:
            redis_server.start()


@pytest.mark.parametrize("mine, other", [(0, 300), (300, 0), (-3600, 300)])
def test_workers_whose_clocks_differ_leave_each_other_their_jobs_until_one_dies(
    fleet: Fleet, mine: int, other: int
) -> None:
    first = fleet.worker(**WrongClock(fleet.folder, mine).env)
    hold = fleet.hold("before-two")
    key = fleet.submit()
    wait_for(lambda: fleet.calls() == ["make one"], seconds=20, saying="it runs")
    fleet.worker(**WrongClock(fleet.folder, other).env)
    time.sleep(9)  # leases were renewed, and the reconcilers have looked
    assert fleet.job(key)["attempt"] == 1, "nobody took what was held"
    first.send_signal(signal.SIGKILL)
    first.wait()
    hold.unlink()
    row = fleet.ended(key)
    assert (row["state"], row["attempt"]) == ("succeeded", 2)
    assert fleet.calls() == ["make one", "make two", "make three"]
    assert row["finished_at"] >= row["started_at"]


def test_a_clock_that_steps_back_ten_minutes_disturbs_no_job(fleet: Fleet, tmp_path: Path) -> None:
    clock = WrongClock(tmp_path, 0)
    fleet.worker(**clock.env)
    fleet.worker()
    hold = fleet.hold("before-two")
    key = fleet.submit()
    wait_for(lambda: fleet.calls() == ["make one"], seconds=20, saying="it runs")
    clock.set(-600)
    time.sleep(9)
    hold.unlink()
    row = fleet.ended(key)
    assert (row["state"], row["attempt"]) == ("succeeded", 1)
    assert fleet.calls() == ["make one", "make two", "make three"]
    assert row["finished_at"] >= row["started_at"]
    again = fleet.ended(fleet.submit())
    assert again["state"] == "succeeded"


def test_a_wish_from_a_web_process_an_hour_ahead_is_not_left_waiting_for_an_hour(
    fleet: Fleet, redis_server: RedisServer
) -> None:
    """Its ring is lost, and the reconciler must not think that it has just been rung."""
    fleet.worker()
    redis_server.stop()
    key = fleet.submit(**WrongClock(fleet.folder, 3600).env)
    redis_server.start()
    assert fleet.ended(key, 30)["state"] == "succeeded"
