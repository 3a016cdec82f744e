"""Random power cuts: ten for every change, `make chaos SEEDS=200` for many, `make chaos SEED=17` for the same again."""

from __future__ import annotations

import os

import pytest

from tests.survival.chaos import throw
from tests.survival.scene import World

SEED, SEEDS = os.environ.get("CHAOS_SEED", ""), int(os.environ.get("CHAOS_SEEDS", "") or 10)
FIRST = int(os.environ.get("CHAOS_FIRST", "") or 1)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [int(SEED)] if SEED else range(FIRST, FIRST + SEEDS))
def test_after_a_power_cut_everything_is_true(installation: World, seed: int) -> None:
    print(throw(seed, installation))
