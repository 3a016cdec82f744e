"""Schemathesis finds nothing: no crash, no undocumented answer, nothing wrong that is taken, nothing right that is refused."""

from __future__ import annotations

import pytest

from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS
from tests.integration.api.attack import attack
from tests.integration.inventory.mirror import Mirror


@pytest.mark.timeout(300)
def test_nothing_is_found_by_who_knows_the_description(mirror: Mirror) -> None:
    said = attack(mirror, "--seed", "1", "--max-examples", "3", "--workers", "2", seconds=240)
    made = set(Job.objects.values_list("operation", flat=True))
    assert len(made) > len(OPERATIONS) / 2, f"it got no further than {made}: {said}"
