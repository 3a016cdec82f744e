"""A plant for these tests: a database in a file, a private Redis, and Celery workers as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest

django.setup()  # a conftest named on the command line is read before pytest-django has done so


from dashboard.accounts.models import AuditEntry, User
from dashboard.jobs import service
from dashboard.jobs.models import Job
from tests.integration.jobs import operations
from tests.lab.database import Database
from tests.lab.redis import RedisServer

ROOT = Path(__file__).resolve().parents[3]


class Plant:
    """Workers, their world, and the jobs given to them."""

    def __init__(self, folder: Path, redis: RedisServer) -> None:
        self.folder = folder
        self.redis = redis
        self.world = folder / "world"
        (self.world / "things").mkdir(parents=True)
        os.environ["JOBS_TEST_WORLD"] = str(self.world)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.user = User.objects.create_user("olga", role="operator")

    def worker(self, *, ready: bool = True) -> subprocess.Popen[bytes]:
        """Start a worker as the Procfile does, with the operations of these tests, and wait until it serves."""
        number = len(self.workers)
        log = (self.folder / f"worker-{number}.log").open("wb")
        argv = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "kvmweb",
            "worker",
            "-P",
            "threads",
            "-c",
            "8",
            "-Q",
            "actions,slow,many",
        ]
        argv += [
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel",
            "INFO",
            "-n",
            f"w{number}@test",
        ]
        argv += ["-I", "tests.integration.jobs.operations"]
        process = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env={**os.environ})
        self.workers.append(process)
        if ready:
            self.until(
                lambda: b" ready." in (self.folder / f"worker-{number}.log").read_bytes(), 40, "the worker is ready"
            )
        return process

    def submit(self, operation: str = "test.make", **params: Any) -> Job:
        return service.submit(user=self.user, operation=operation, params=params)

    def until(self, true: Callable[[], object], seconds: float, what: str) -> float:
        """Wait until it is true; returns how long it took."""
        begun = time.monotonic()
        while not true():
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"after {seconds} s still not: {what}\n{self.logs()}")
            time.sleep(0.02)
        return time.monotonic() - begun

    def ended(self, job: Job, seconds: float = 30) -> Job:
        """The job in its final state."""
        self.until(lambda: Job.objects.get(pk=job.pk).state not in Job.ACTIVE, seconds, f"job {job.pk} ended")
        return Job.objects.get(pk=job.pk)

    def died(self, worker: subprocess.Popen[bytes], seconds: float = 20) -> None:
        self.until(lambda: worker.poll() is not None, seconds, "the worker is dead")

    def trap(self, name: str, text: str = "") -> Path:
        (self.world / name).write_text(text)
        return self.world / name

    def things(self) -> list[str]:
        return sorted(path.name for path in (self.world / "things").iterdir())

    def calls(self) -> list[str]:
        """The effects in their order, without the pid."""
        file = self.world / "calls"
        return [line.rsplit(" ", 1)[0] for line in file.read_text().splitlines()] if file.exists() else []

    def phases(self, job: Job) -> list[str]:
        return list(
            AuditEntry.objects.filter(job_id=job.pk)
            .exclude(phase="event")
            .order_by("at")
            .values_list("phase", flat=True)
        )

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in sorted(self.folder.glob("worker-*.log")))

    def stop(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()


@pytest.fixture
def plant(
    tmp_path: Path,
    own_database: Database,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Plant]:
    """The plant, without a worker yet."""
    monkeypatch.setenv("KVMWEB_STATE_DIR", str(tmp_path / "state"))
    for name, value in own_database.env.items():
        monkeypatch.setenv(name, value)
    with redis_server.client() as client:
        client.flushall()
    made = Plant(tmp_path, redis_server)
    try:
        yield made
    finally:
        made.stop()
        if redis_server.process is None:
            redis_server.start()


__all__ = ["operations"]
