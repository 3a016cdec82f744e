"""Proportional memory (PSS) of every process of the stack after a minute in which nobody did anything."""

from __future__ import annotations

import re
import sys

from tests.bench.measure import Run, children, command, process, pss
from tests.bench.report import Figure, aim, figure
from tests.bench.world import world

MOST_MB = 350
BARE = "import django, time; from django.conf import settings; settings.configure(); django.setup(); print(1, flush=True); time.sleep(999)"
ROLES = (
    ("launcher", r"deploy/stack\.py"), ("redis", "redis-server"), ("nginx", "nginx"), ("web", r"kvmweb\.asgi"),
    ("worker", r"kvmweb\.worker"), ("monitor", r"manage\.py monitor"), ("console", "console_gateway"), ("serial", r"consoles\.serial"),
    ("respawn", "respawn|sleep"),
)  # fmt: skip


def measure(run: Run) -> list[Figure]:
    """One figure for each role, and the sum."""
    place = world(run)
    http = place.connect()
    place.request(http, "GET", "/jobs/recent.json")
    http.close()
    assert place.stack.process is not None
    with process([sys.executable, "-c", BARE]) as bare:
        place.settle(run.times(60, 10))
        floor = pss(bare.pid)
        found: dict[str, float] = {}
        for pid in [place.stack.process.pid, *children(place.stack.process.pid)]:
            words = command(pid)
            role = next((name for name, pattern in reversed(ROLES) if re.search(pattern, words)), words[:30])
            found[role] = found.get(role, 0) + pss(pid)
    total = sum(found.values())
    rows = [
        figure(
            f"idle memory: {role}",
            found[role],
            "MB",
            floor=floor if role not in ("redis", "nginx", "respawn") else None,
        )
        for role in sorted(found, key=lambda role: -found[role])
    ]
    note = f"{aim(total <= MOST_MB, f'≤{MOST_MB} MB')}; {run.times(60, 10)} s idle; floor: one bare Python with Django"
    return [*rows, figure("idle memory: whole stack", total, "MB", floor=floor, note=note)]
