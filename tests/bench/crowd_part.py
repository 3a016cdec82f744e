"""Five hundred live pages of different people: until a change has reached all, and how they come back to a web process that died."""

from __future__ import annotations

import json
import os
import random
import signal
import time

from tests.bench.measure import BenchError, Helper, Run, cpu_seconds, middle, percentile, say
from tests.bench.report import Figure, aim, figure
from tests.bench.seeding import seed
from tests.bench.world import World, world

PAGES, FEW_PAGES = 500, 60
PING_SECONDS = 21
"""By then every page has been told how many there are."""
MOST_SETTLED_S = 60.0
CALM = 0.5
"""Cores: a web process that uses less than this has nothing to catch up with."""
WEB = "kvmweb.asgi"


def measure(run: Run) -> list[Figure]:
    """One page alone, then the crowd: changes, and a death of the web process."""
    place = world(run)
    place.bystanders()
    count = run.times(PAGES, FEW_PAGES)
    sessions = run.folder / "sessions.json"
    sessions.write_text(json.dumps(seed(place.stack.env, "people", str(count))))
    crowd = Helper(run, "crowd", place.stack.url, str(sessions))
    crowd.tell("open", 1)
    alone = changes(place, crowd, run.times(30, 10))
    place.settle(run.times(PING_SECONDS, 1))
    alone_back = die(place, crowd)
    say(f"        {count} pages")
    opened = crowd.tell("open", count)
    place.settle(PING_SECONDS)
    web, before = place.process(WEB), time.monotonic()
    spent = cpu_seconds(web)
    told = changes(place, crowd, run.times(40, 8))
    load = (cpu_seconds(web) - spent) / (time.monotonic() - before)
    back = die(place, crowd)
    return [
        figure(f"{count} pages: a change reaches each, p50", middle(told[0]), "ms", floor=middle(alone[0]), note=f"{len(told[0]):,} deliveries; floor: one page alone"),
        figure(f"{count} pages: a change reaches each, p99", percentile(told[0], 0.99), "ms", floor=percentile(alone[0], 0.99), note=f"slowest {max(told[0]):.0f} ms, alone {max(alone[0]):.0f} ms"),
        figure(f"{count} pages: a change has reached all, p50", middle(told[1]), "ms", floor=middle(told[2]), note="floor: bare libvirt callback"),
        figure(f"{count} pages: web process meanwhile", load, "cores", note=f"about 2 changes a second; all opened within {opened:.1f} s"),
        figure(f"{count} pages: all back after the web process was killed", back["back"], "s", floor=alone_back["back"], note=f"at most {back['tries']:.0f} tries a second of {back['all_tries']:.0f}, {back['most']:.0f} connections a second; floor: one page alone"),
        figure(f"{count} pages: settled after the web process was killed", back["calm"], "s", floor=alone_back["calm"], note=f"{aim(back['calm'] <= MOST_SETTLED_S, f'≤{MOST_SETTLED_S:.0f} s')}; all were told what was said meanwhile, {back['fetched']:.0f} fetched anew, web below {CALM:g} cores"),
    ]  # fmt: skip


def changes(place: World, crowd: Helper, count: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of each delivery, of each change's last delivery, and of its bare callback."""
    deliveries, lasts, bare = [], [], []
    for number in range(count + 2):
        began, state, heard = change(place, number)
        told = [(at - began) * 1000 for at in crowd.tell("heard", place.idle.uuid, state, began)]
        if number >= 2:  # the first two warm up
            deliveries += told
            lasts.append(max(told))
            bare.append((heard - began) * 1000)
        place.settle(random.uniform(0.3, 0.6))
    return deliveries, lasts, bare


def change(place: World, number: int) -> tuple[float, str, float]:
    """Pause the guest or let it run: when the call began, the state that follows, when a bare callback heard of it."""
    call, event, state = ("resume", "resumed", "running") if number % 2 else ("suspend", "suspended", "paused")
    began, _ended = place.actor.tell(call, place.idle.uuid)
    heard = place.wait_for_event(place.idle.uuid, event, began)
    if not heard:
        raise BenchError(f"libvirt told no event: {event}")
    return float(began), state, heard


def die(place: World, crowd: Helper) -> dict[str, float]:
    """Kill the web process; until all pages are back, know what happened meanwhile, and the new process is calm."""
    killed = time.time()
    os.kill(place.process(WEB), signal.SIGKILL)
    began, state, _heard = change(place, 0)
    back: dict[str, float] = crowd.tell("lost", killed)
    crowd.tell("heard", place.idle.uuid, state, began)
    web, told = place.process(WEB), time.time()
    spent, at = cpu_seconds(web), time.monotonic()
    while True:
        place.settle(1)
        used = (cpu_seconds(web) - spent) / (time.monotonic() - at)
        spent, at = cpu_seconds(web), time.monotonic()
        if used < CALM:
            break
        told = time.time()
    back["calm"] = max(back["settled"], told - killed)
    change(place, 1)
    return back
