"""Sizes, rates, durations and states read the same from Python and from JavaScript."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone, translation

from dashboard.inventory.models import Host
from dashboard.jobs.models import Job
from dashboard.live import formats

ROOT = Path(__file__).resolve().parents[3]
SIZES = [None, 0, 1, 1023, 1024, 1536, 10_240, 102_349, 102_400, 1_048_575, 3.7 * 1024**3, 24 * 1024**3, 5 * 1024**5]
SPANS = [None, 0, 0.84, 9.9, 9.96, 42, 61, 3599, 3600, 86_399, 86_400, 1_000_000]
FRACTIONS = [None, 0, 0.253, 0.999, 1]


def in_javascript(expression: str) -> object:
    script = f"import * as f from {json.dumps((ROOT / 'static/js/format.js').as_uri())};console.log(JSON.stringify({expression}))"
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script], capture_output=True, text=True, check=True, timeout=30
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (0, "0 B"),
        (1536, "1.5 KiB"),
        (2 * 1024**3, "2 GiB"),
        (150 * 1024**2, "150 MiB"),
        (1023.6, "1024 B"),
    ],
)
def test_a_size_is_short(value: float | None, words: str) -> None:
    assert formats.bytes_text(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.84, "0.8 s"), (42, "42 s"), (125, "2 min 5 s"), (7260, "2 h 1 min"), (277_200, "3 d 5 h")]
)
def test_a_duration_has_its_two_largest_units(seconds: float, words: str) -> None:
    assert formats.duration_text(seconds) == words
    assert formats.duration_text(timedelta(seconds=seconds)) == words


def test_a_time_ago_is_in_its_largest_unit() -> None:
    now = timezone.now()
    said = [formats.ago_text(now - timedelta(seconds=s), now) for s in (3, 30, 300, 7200, 300_000)]
    assert said == ["just now", "30 s ago", "5 min ago", "2 h ago", "3 d ago"]


def test_javascript_writes_what_python_writes() -> None:
    written = in_javascript(
        f"[{json.dumps(SIZES)}.map(f.bytes), {json.dumps(SIZES)}.map(f.rate), {json.dumps(SPANS)}.map(f.duration),"
        f" {json.dumps(FRACTIONS)}.map(f.percent), [3, 30, 300, 7200, 300000].map((s) => f.ago(0, s * 1000))]"
    )
    now = timezone.now()
    assert written == [
        [formats.bytes_text(size) for size in SIZES],
        [formats.rate_text(size) for size in SIZES],
        [formats.duration_text(span) for span in SPANS],
        [formats.percent_text(fraction) for fraction in FRACTIONS],
        [formats.ago_text(now - timedelta(seconds=s), now) for s in (3, 30, 300, 7200, 300_000)],
    ]


def test_javascript_knows_the_same_states_with_the_same_looks() -> None:
    seen = in_javascript("Object.fromEntries(f.STATE_NAMES.map((name) => [name, f.face(name)]))")
    with translation.override("en"):
        ours = {
            name: {"label": str(face.label), "shape": face.shape, "tone": face.tone}
            for name, face in formats.STATES.items()
        }
    assert seen == ours


def test_every_state_of_hosts_and_jobs_has_a_look() -> None:
    assert {*Host.Status.values, *Job.State.values} <= set(formats.STATES)


def test_every_shape_is_in_the_sprite() -> None:
    sprite = (ROOT / "static" / "vendor" / "icons" / "sprite.svg").read_text(encoding="utf-8")
    for face in formats.STATES.values():
        assert f'id="{face.shape}"' in sprite
