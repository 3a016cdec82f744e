"""The figures of one run: a table for people, var/bench.json for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured value beside what it is held against."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    note: str = ""


def figure(name: str, value: float, unit: str, *, floor: float | None = None, note: str = "") -> Figure:
    """A figure, with its ratio to the floor."""
    ratio = round(value / floor, 2) if floor else None
    return Figure(name, tidy(value), unit, None if floor is None else tidy(floor), ratio, note)


def aim(met: bool, words: str) -> str:
    """How a figure stands to its aim, for its note."""
    return f"aim {words}: {'met' if met else 'MISSED'}"


def tidy(value: float) -> float:
    """Three significant digits are more than a shared machine can give."""
    return float(f"{value:.3g}") if abs(value) < 1000 else float(round(value))


def table(figures: Sequence[Figure]) -> str:
    """All figures, one a line."""
    head = ("what", "value", "unit", "floor", "ratio", "note")
    rows = [head] + [
        (one.name, text(one.value), one.unit, text(one.floor), f"{one.ratio:.2f}" if one.ratio else "–", one.note)
        for one in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = []
    for row in rows:
        name, value, unit, floor, ratio = (
            row[column].ljust(widths[column]) if column in (0, 2) else row[column].rjust(widths[column])
            for column in range(5)
        )
        lines.append(f"{name}  {value} {unit}  {floor}  {ratio}  {row[5]}".rstrip())
    lines.insert(1, "─" * max(map(len, lines)))
    return "\n".join(lines)


def text(value: float | None) -> str:
    """A number as the table has it."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def write(figures: Sequence[Figure], path: Path) -> None:
    """The same as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(one) for one in figures], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
