"""Runs `tests.bench.seed` in the state folder of a stack."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.bench.measure import ROOT, BenchError


def seed(env: dict[str, str], *words: str) -> Any:
    """One command of seed; its answer."""
    env = env | {"DJANGO_SETTINGS_MODULE": "kvmweb.settings"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.seed", *words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"seed {' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
