"""One installation for all tests of survival; each leaves it as it found it, and everything true."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.hosts import Lab
from tests.survival import scene
from tests.survival.invariants import assert_holds
from tests.survival.scene import World


@pytest.fixture(scope="session")
def installation(lab: Lab) -> Iterator[World]:
    """The stack on a host of its own, started once."""
    with scene.world(lab.up(1)[0], "survival") as made:
        yield made


@pytest.fixture
def world(installation: World) -> Iterator[World]:
    """The installation; after each test all invariants hold, and then what the test made is cleared away."""
    yield installation
    try:
        assert_holds(installation.truth)
    finally:
        installation.mend()
