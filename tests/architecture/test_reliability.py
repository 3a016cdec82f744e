"""The table of docs/reliability.md: every requirement has a row, every test that it names is there, and none of ours is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.test_requirements import named_in

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in TEXT.splitlines() if line.startswith("| REL-")}
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
WANTED = (*range(1, 10), 12, 13, *range(17, 25), 27, 28, 30, 31, 32)


def test_every_requirement_has_one_row() -> None:
    assert list(ROWS) == [f"REL-{number}" for number in WANTED]
    assert TEXT.count("\n| REL-") == len(WANTED)


@pytest.mark.parametrize("requirement", ROWS)
def test_every_row_says_what_holds_and_names_tests(requirement: str) -> None:
    holds, shown, _not_shown = ROWS[requirement]
    assert len(holds.split()) > 5
    assert NAMED.findall(shown)
    assert NAMED.sub("", shown).replace(",", "").strip() == "", "nothing but tests, as file::test"


def test_every_test_that_is_named_is_there() -> None:
    missing = [f"{path}::{test}" for path, test in NAMED.findall(TEXT) if test not in named_in(path)]
    assert not missing
    assert len(NAMED.findall(TEXT)) == TEXT.count("::test_"), "each is written as `file::test`"


def test_every_test_of_survival_stands_in_the_table() -> None:
    files = [path.name for path in (ROOT / "tests" / "survival").glob("test_*.py")]
    there = {(f"survival/{name}", test) for name in files for test in named_in(f"survival/{name}")}
    assert there
    assert there <= set(NAMED.findall(TEXT)), there - set(NAMED.findall(TEXT))


def test_every_invariant_is_in_the_script() -> None:
    script = (ROOT / "tests" / "survival" / "invariants.py").read_text(encoding="utf-8")
    for number in re.findall(r"^\| (I\d) \|", TEXT, re.MULTILINE):
        assert f'"{number}: ' in script, number
