"""Redis killed at each step of a create, once with its data kept and once without: nothing is lost, nothing is done twice."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.hosts import Lab, wait_for
from tests.survival import scene
from tests.survival.invariants import assert_holds
from tests.survival.scene import World, calls, judge

AWAY = 20.0


class Broker:
    """A Redis of one's own, as KVMWEB_REDIS_URL names it."""

    def __init__(self, folder: Path, kept: bool) -> None:
        self.socket = folder / "redis.sock"
        keep = ["--appendonly", "yes", "--appendfsync", "always"] if kept else ["--appendonly", "no"]
        self.argv = [
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--save",
            "",
            "--dir",
            str(folder),
            *keep,
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for(self._answers, saying="redis-server answers")

    def _answers(self) -> bool:
        asked = subprocess.run(["redis-cli", "-s", str(self.socket), "ping"], capture_output=True, check=False)
        return asked.stdout == b"PONG\n"

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)


@pytest.fixture(params=[False, True], ids=["forgetful", "kept"])
def place(request: pytest.FixtureRequest, lab: Lab) -> Iterator[tuple[World, Broker]]:
    with tempfile.TemporaryDirectory(prefix="kvmweb-redis-", dir="/tmp") as folder:
        broker = Broker(Path(folder), request.param)
        broker.start()
        try:
            with scene.world(lab.up(1)[0], "brokers", KVMWEB_REDIS_URL=f"unix://{broker.socket}") as world:
                yield world, broker
        finally:
            broker.kill()


@pytest.mark.timeout(400)
def test_redis_killed_at_each_step_loses_and_doubles_nothing(place: tuple[World, Broker]) -> None:
    world, broker = place
    with calls(world.host, world.stack.state) as log:
        jobs: dict[str, str] = {}
        for step in range(3):
            name = f"step{step}"
            world.slow.hold(name)
            jobs[name] = world.create(name, start_now=True)
            wait_for(lambda name=name: world.slow.reached(name), seconds=20, saying="its disk is being made")
            if step:
                look = world.truth.watch(jobs[name])
                world.slow.let_go(name)
                wait_for(lambda look=look, step=step: look()[1] >= step, seconds=20, every=0, saying=f"step {step}")
            broker.kill()
            # Nobody can ring now; the wish is taken all the same, and runs when Redis is back.
            jobs[f"queued{step}"] = wait_for(lambda step=step: _create(world, f"queued{step}"), seconds=30)
            time.sleep(AWAY)
            world.slow.let_go(name)
            broker.start()
        rows = {name: world.ended(job) for name, job in jobs.items()}
        assert {row["state"] for row in rows.values()} == {"succeeded"}, rows
        judge(world.truth, rows)
        time.sleep(0.5)
        for name in rows:
            assert log.of(name).count("Started Booted") == 1, log.of(name)
            assert log.of(name).count("Defined Added") == 1, log.of(name)
    assert_holds(world.truth, within=40)


def _create(world: World, name: str) -> str:
    try:
        return world.create(name, start_now=True)
    except OSError:
        return ""
