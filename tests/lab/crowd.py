"""How pages come back after their socket was lost: the Python twin of static/js/live.js' rule, and what to count of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

RULES = (Path(__file__).resolve().parents[2] / "static" / "js" / "live.js").read_text(encoding="utf-8")


def number(name: str) -> int:
    """A constant of the page's script."""
    found = re.search(rf"const {name} = ([\d_]+);", RULES)
    assert found, name
    return int(found[1].replace("_", ""))


FEW, CROWD, MOST = number("FEW"), number("CROWD_WAIT_S"), number("MAX_WAIT_S")


def longest_wait(tries: int, pages: int) -> float:
    """The twin of live.js' function of this name; tests/integration/live/test_herd.py compares them."""
    return min(MOST, CROWD * 2 ** (tries - 1) if pages > FEW else 2**tries)


def peak(moments: Sequence[float]) -> int:
    """The most of them within any second."""
    ordered = sorted(moments)
    first, most = 0, 0
    for last, moment in enumerate(ordered):
        while ordered[first] <= moment - 1:
            first += 1
        most = max(most, last - first + 1)
    return most
