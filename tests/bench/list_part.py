"""The list page: CPU and wall time of the web process, queries and bytes, for fleets of three sizes."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from honcho.environ import parse_procfile

from tests.bench.measure import ROOT, BenchError, Run, UnixHttp, cpu_seconds, middle, process, say
from tests.bench.report import Figure, aim, figure
from tests.bench.seeding import seed
from tests.lab.hosts import wait_for
from tests.lab.redis import RedisServer

SIZES = (100, 1_000, 10_000)
EMPTY = "/networks/"
"""A page of the same frame with nothing in its table."""
LIST = "/guests/"
BLOCK = 10
MOST_CPU_MS = 40
MOST_GROWTH = 1.5
OTHERS = {
    "last page": f"{LIST}?page=200",
    "search": f"{LIST}?q=web-0+example",
    "by load": f"{LIST}?sort=-cpu",
}


@dataclass
class Web:
    """One web process with its own database."""

    guests: int
    pid: int
    http: UnixHttp
    headers: dict[str, str]
    env: dict[str, str]

    def get(self, path: str) -> bytes:
        """One page."""
        try:
            self.http.request("GET", path, headers=self.headers)
            got = self.http.getresponse()
        except (BrokenPipeError, http.client.RemoteDisconnected):  # uvicorn hangs up after 5 s of silence
            self.http.close()
            self.http.request("GET", path, headers=self.headers)
            got = self.http.getresponse()
        body = got.read()
        if got.status != 200:
            raise BenchError(f"{path}: {got.status}")
        return body

    def block(self, path: str, count: int) -> tuple[float, list[float]]:
        """(CPU milliseconds a page, wall milliseconds of each) of some requests in a row."""
        before, walls = cpu_seconds(self.pid), []
        for _ in range(count):
            began = time.perf_counter()
            self.get(path)
            walls.append((time.perf_counter() - began) * 1000)
        return (cpu_seconds(self.pid) - before) * 1000 / count, walls


def measure(run: Run) -> list[Figure]:
    """All figures of the list page."""
    sizes = [size for size in SIZES if not (run.quick and size == 10_000)] if run.quick else list(SIZES)
    with contextlib.ExitStack() as ending:
        webs = start(run, ending, sizes)
        pages = {size: {"empty": EMPTY, "list": LIST} for size in sizes}
        if 10_000 in pages:
            pages[10_000] |= OTHERS
        cpu: dict[tuple[int, str], list[float]] = defaultdict(list)
        wall: dict[tuple[int, str], list[float]] = defaultdict(list)
        for lap in range(run.times(5, 2) + 1):
            for web in webs:
                for word, path in pages[web.guests].items():
                    spent, walls = web.block(path, 2 if word in OTHERS else BLOCK)
                    if lap:  # the first one warms up
                        cpu[web.guests, word].append(spent)
                        wall[web.guests, word] += walls
        counts = {
            web.guests: seed(web.env, "queries", web.headers["Cookie"].partition("=")[2], EMPTY, LIST) for web in webs
        }
        size_of = {web.guests: len(web.get(LIST)) for web in webs}
    return figures(
        {key: middle(values) for key, values in cpu.items()}, {key: middle(values) for key, values in wall.items()},
        counts, size_of,
    )  # fmt: skip


def figures(
    cpu: dict[tuple[int, str], float],
    wall: dict[tuple[int, str], float],
    counts: dict[int, Any],
    size_of: dict[int, int],
) -> list[Figure]:
    """The table's rows."""
    rows = []
    for size in size_of:
        spent, floor = cpu[size, "list"], cpu[size, "empty"]
        held = aim(spent <= MOST_CPU_MS, f"≤{MOST_CPU_MS} ms") if size == 1_000 else ""
        rows.append(figure(f"list page, {size:,} guests: server CPU", spent, "ms", floor=floor, note=held))
        rows.append(
            figure(
                f"list page, {size:,} guests: wall",
                wall[size, "list"],
                "ms",
                floor=wall[size, "empty"],
                note=f"{size_of[size]:,} bytes",
            )
        )
        rows.append(
            figure(f"list page, {size:,} guests: SQL queries", counts[size][LIST], "", floor=counts[size][EMPTY])
        )
    smallest, biggest = min(size_of), max(size_of)
    growth = cpu[biggest, "list"] / cpu[smallest, "list"]
    held = aim(growth <= MOST_GROWTH, f"≤{MOST_GROWTH} × of 100") if biggest == 10_000 else ""
    rows.append(
        figure(
            f"list page, {biggest:,} beside {smallest:,} guests: server CPU",
            cpu[biggest, "list"],
            "ms",
            floor=cpu[smallest, "list"],
            note=held,
        )
    )
    rows += [
        figure(
            f"list page, {size:,} guests, {word}: server CPU",
            spent,
            "ms",
            floor=cpu[size, "list"],
            note="floor: its first page",
        )
        for (size, word), spent in cpu.items()
        if word in OTHERS
    ]
    return rows


def start(run: Run, ending: contextlib.ExitStack, sizes: list[int]) -> list[Web]:
    """A web process for each size, as the Procfile has it, and one Redis for all."""
    base = run.folder / "list"
    os.environ["KVMWEB_REDIS_URL"] = f"unix://{base}/redis.sock"
    base.mkdir()
    redis = RedisServer()
    ending.callback(redis.stop)
    redis.start()
    state = base / "base"
    env = environment(state)
    subprocess.run([sys.executable, "deploy/prepare.py"], cwd=ROOT, env=env, check=True)
    cookie = f"kvmweb={seed(env, 'session')}"
    webs = []
    for number, size in enumerate(sizes):
        say(f"        {size:,} guests")
        mine = base / str(size)
        shutil.copytree(state, mine, ignore=shutil.ignore_patterns("static"))
        (mine / "static").symlink_to(state / "static")
        env = environment(mine)
        seed(env, "fleet", str(size), str(1001 + number))
        webs.append(web(ending, mine, env, size, cookie))
    return webs


def environment(state: Path) -> dict[str, str]:
    """What the web process of a stack gets."""
    from deploy import stack

    (state / "run").mkdir(parents=True, exist_ok=True)
    values = stack.environment(state, state / "run")
    return {
        **values,
        "KVMWEB_LOCAL_HOST": "0",
        "KVMWEB_LISTEN": "127.0.0.1:8000",
        "KVMWEB_REDIS_URL": os.environ["KVMWEB_REDIS_URL"],
    }


def web(ending: contextlib.ExitStack, state: Path, env: dict[str, str], size: int, cookie: str) -> Web:
    """Start the web process and wait for its first page."""
    line = dict(parse_procfile((ROOT / "Procfile").read_text(encoding="utf-8")).processes)["web"]
    path = state / "run" / "web.sock"
    started = ending.enter_context(process(["sh", "-c", line.replace("deploy/respawn ", "")], env=env))
    wait_for(path.exists, seconds=60, saying="the web process listens")
    headers = {"Host": "127.0.0.1:8000", "Cookie": cookie, "Accept": "text/html", "X-Forwarded-For": "127.0.0.1"}
    one = Web(size, started.pid, UnixHttp(path), headers, env)
    one.get(LIST)
    return one
