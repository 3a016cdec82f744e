"""Schemathesis for as long as one likes, from another seed each time: `make attack EXAMPLES=300` (or SEED=… once more)."""

from __future__ import annotations

import os
import random

import pytest

from tests.integration.api.attack import attack
from tests.integration.inventory.fixtures import mirror
from tests.integration.inventory.mirror import Mirror

__all__ = ["mirror"]

EXAMPLES = os.environ.get("ATTACK_EXAMPLES") or "100"
SEED = os.environ.get("ATTACK_SEED") or str(random.randrange(2**32))


@pytest.mark.timeout(4 * 3600)
def test_nothing_is_found_from_any_seed(mirror: Mirror) -> None:
    print(f"seed {SEED}, {EXAMPLES} examples")
    print(attack(mirror, "--seed", SEED, "--max-examples", EXAMPLES, seconds=4 * 3600 - 60))
