"""Schemathesis finds nothing: no crash, no undocumented answer, nothing wrong that is taken, nothing right that is refused."""

from __future__ import annotations

import pytest

from tests.integration.api.attack import attack
from tests.integration.inventory.mirror import Mirror


@pytest.mark.timeout(300)
def test_nothing_is_found_by_who_knows_the_description(mirror: Mirror) -> None:
    said = attack(mirror, "--seed", "1", "--max-examples", "3", "--workers", "2", seconds=240)
    assert "No issues found" in said, said
