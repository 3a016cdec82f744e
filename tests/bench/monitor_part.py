"""A full comparison of a big host by the monitor's own code, beside a bare reading of the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.bench import fleet
from tests.bench.list_part import environment
from tests.bench.measure import ROOT, BenchError, Run
from tests.bench.report import Figure, figure
from tests.lab.redis import RedisServer


def measure(run: Run) -> list[Figure]:
    """First comparison, one in which nothing has changed, and both beside bare libvirt."""
    count = run.times(10_000, 2_000)
    state = run.folder / "monitor"
    state.mkdir()
    os.environ["KVMWEB_REDIS_URL"] = f"unix://{state}/redis.sock"
    redis = RedisServer()
    redis.start()
    try:
        node = state / "node.xml"
        fleet.node_file(node, count)
        env = environment(state) | {"KVMWEB_LOG_LEVEL": "ERROR", "DJANGO_SETTINGS_MODULE": "kvmweb.settings"}
        subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=ROOT, env=env, check=True)
        argv = [sys.executable, "-m", "tests.bench.comparing", str(node), str(run.times(3, 1))]
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(done.stderr)
        took = json.loads(done.stdout.splitlines()[-1])
    finally:
        redis.stop()
    bare = took["bare"]
    rows = []
    for word, what in (("first", "first comparison"), ("again", "nothing changed")):
        for number, kind in enumerate(("wall", "CPU")):
            name = f"monitor, {count:,} guests, {what}: {kind}"
            rows.append(
                figure(
                    name,
                    took[word][number],
                    "s",
                    floor=bare[number],
                    note="floor: bare list, states and XML" if word == "first" else "",
                )
            )
    return [*rows, figure(f"monitor, {count:,} guests: memory at its highest", took["peak_mb"], "MB", floor=took["opened_mb"], note="floor: once libvirt's test driver, which lives in the process, holds them")]  # fmt: skip
