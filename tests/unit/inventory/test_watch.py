"""How long a lost host is left alone."""

from __future__ import annotations

from dashboard.inventory.watch import pause_after


def test_pauses_grow_to_half_a_minute_with_jitter() -> None:
    for failures, middle in ((0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 16)):
        pauses = {pause_after(failures) for _ in range(50)}
        assert len(pauses) > 10
        assert all(middle * 0.69 <= pause <= middle * 1.31 for pause in pauses)
    assert all(20 <= pause_after(failures) <= 30 for failures in (6, 60, 6000) for _ in range(50))
