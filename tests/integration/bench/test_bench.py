"""`python -m tests.bench` runs, and what it writes has the promised shape."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.bench.__main__ import PARTS

ROOT = Path(__file__).resolve().parents[3]


def test_the_quick_bench_of_the_list_page_measures_the_real_web_process(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    argv = [sys.executable, "-m", "tests.bench", "list", "--quick", "--output", str(output)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = {one["name"]: one for one in json.loads(output.read_text())}
    assert all(one.keys() == {"name", "value", "unit", "floor", "ratio", "note"} for one in figures.values())
    spent = figures["list page, 1,000 guests: server CPU"]
    assert spent["value"] > spent["floor"] > 0, "a page with rows costs more than one without"
    queries = [one["value"] for name, one in figures.items() if name.endswith("SQL queries")]
    assert len(set(queries)) == 1, "ten times as many guests cost no more queries"
    assert "list page, 1,000 guests: server CPU" in done.stdout


def test_a_part_that_there_is_not_is_refused_with_a_sentence() -> None:
    argv = [sys.executable, "-m", "tests.bench", "nonsense"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "no such part: nonsense" in done.stderr


def test_every_part_that_is_offered_can_be_measured() -> None:
    for name in PARTS:
        assert callable(importlib.import_module(f"tests.bench.{name}_part").measure), name


def test_where_there_is_no_webvirtcloud_the_bench_says_so_and_which_settings_name_one(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    argv = [sys.executable, "-m", "tests.bench", "peer", "--output", str(output)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_PEER_")}
    env |= {"BENCH_PEER_URL": "http://127.0.0.1:1"}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text()) == []
    assert "there is no WebVirtCloud here" in done.stderr
    assert "BENCH_PEER_SOCKET" in done.stderr
    assert "BENCH_PEER_URL" not in done.stderr, "what is set is not missing"
