"""Random power cuts, many of them: `POWER_CUTS=200 POWER_CUT_SEED=1 make test-long` repeats any run exactly as far as dice go."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e import survival
from tests.e2e.power_cuts import Cut, Visitor, make_administrator
from tests.e2e.stack import Stack
from tests.e2e.survival import SlowDisks, Truth
from tests.lab.hosts import LabHost

FIRST = int(os.environ.get("POWER_CUT_SEED", "1"))
CUTS = int(os.environ.get("POWER_CUTS", "50"))
POOL = "cuts"
World = tuple[Stack, Truth, SlowDisks, Visitor]


@pytest.fixture(scope="module")
def world(lab_host: LabHost) -> Iterator[World]:
    """A stack on a host, with a pool, and somebody signed in."""
    stack = Stack(lab_host.socket)
    try:
        stack.start()
        truth = Truth(stack.state / "kvmweb.sqlite3", lab_host, POOL)
        visitor = make_administrator(stack, "four quiet words here")
        survival.make_pool(truth)
        slow = SlowDisks(lab_host)
        slow.begin()
        yield stack, truth, slow, visitor
    finally:
        stack.stop()


@pytest.mark.parametrize("seed", range(FIRST, FIRST + CUTS))
def test_after_a_power_cut_everything_is_true(world: World, seed: int) -> None:
    print(Cut(seed, *world).run())
    survival.clear(world[1], "cut")
