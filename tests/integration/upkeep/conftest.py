"""Installations that hold a row of everything, and empty ones to restore to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest

django.setup()  # a conftest named on the command line is read before pytest-django has done so

from dashboard.inventory import sealing
from dashboard.upkeep import rows
from tests.integration.upgrade import released, seed
from tests.integration.upkeep.installation import Installation

Make = Callable[..., Installation]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Make]:
    """`installation(name, kind="")`: an empty one."""
    made: list[Installation] = []

    def make(name: str, kind: str = "") -> Installation:
        made.append(Installation(tmp_path / name, kind=kind))
        return made[-1]

    yield make
    for one in made:
        one.database.forget()


@pytest.fixture
def full(installation: Make, django_db_blocker: Any) -> Installation:
    """One with a row of everything that there is."""
    made = installation("full")
    with django_db_blocker.unblock(), made.database.as_default():
        released.load(released.states()[-1])
        seed.later(rows.migrate())
    (made.state / "secrets").mkdir(mode=0o700)
    (made.state / "secrets" / "hosts").write_text(sealing.make_key())
    return made
