"""The eye on an open console: the longest time, a database that is away, and rights that end."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import OperationalError

from dashboard.consoles import rights, watch
from dashboard.consoles.refusals import RESTART, RIGHTS, TIME, Why
from dashboard.consoles.rights import Grant

GRANT = Grant(1, "session", 1, "00000000-0000-4000-8000-000000000001", "guest.console")


def verdict(seconds: float = 5) -> Why | None:
    """What a watch says within `seconds`; None while it lets the console be."""
    said: list[Why] = []
    ended = threading.Event()

    def end(why: Why) -> None:
        said.append(why)
        ended.set()

    eye = watch.Watch(GRANT, end, lambda: None)
    eye.start()
    ended.wait(seconds)
    eye.stop()
    eye.join(5)
    return said[0] if said else None


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "SECONDS_BETWEEN_LOOKS", 0.02)
    monkeypatch.setattr(rights, "ended", lambda grants: {})


def away(grants: Any) -> dict[Grant, Why]:
    raise OperationalError("away")


def test_a_console_with_all_rights_stays_open() -> None:
    assert verdict(0.3) is None


def test_a_console_ends_after_its_longest_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rights.LONGEST_SECONDS == 12 * 3600
    monkeypatch.setattr(rights, "LONGEST_SECONDS", 0.1)
    assert verdict() == TIME


def test_a_console_ends_when_its_rights_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "ended", lambda grants: dict.fromkeys(grants, RIGHTS))
    assert verdict() == RIGHTS


def test_a_database_that_is_away_for_a_moment_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "ended", away)
    assert verdict(0.3) is None


def test_a_console_whose_rights_nobody_can_tell_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "ended", away)
    monkeypatch.setattr(watch, "BLIND_SECONDS", 0.1)
    assert verdict() == RESTART
