"""When an object is read again after events."""

from __future__ import annotations

from dashboard.inventory.agenda import BURST, GAP, STORM_GAP, Agenda, merge
from dashboard.inventory.store import Seen


def test_an_event_is_due_at_once_and_others_meanwhile_make_one_reading() -> None:
    agenda = Agenda()
    agenda.add("guest", "a", 10.0, delay=GAP)
    agenda.add("guest", "a", 10.01)
    agenda.add("network", "a", 10.0)
    assert agenda.next_due() == 10.0
    assert [(kind, uuid) for kind, uuid, _ in agenda.take(10.01)] == [("network", "a"), ("guest", "a")]
    assert agenda.next_due() is None


def test_what_was_read_a_moment_ago_waits_for_the_gap() -> None:
    agenda = Agenda()
    agenda.add("guest", "a", 10.0)
    assert agenda.take(10.0)
    agenda.add("guest", "a", 10.001)
    assert agenda.take(10.01) == []
    assert agenda.next_due() == 10.0 + GAP
    assert len(agenda.take(10.03)) == 1


def test_a_storm_slows_down_and_calm_makes_quick_again() -> None:
    agenda, now = Agenda(), 0.0
    for _ in range(int(BURST) + 10):
        agenda.add("guest", "a", now)
        now = agenda.next_due() or now
        agenda.take(now)
    agenda.add("guest", "a", now)
    assert agenda.next_due() == now + STORM_GAP
    agenda.add("guest", "b", now)
    assert agenda.next_due() == now
    agenda.take(now + STORM_GAP)
    now += 60
    agenda.add("guest", "a", now)
    assert agenda.next_due() == now


def test_gathered_events_tell_the_latest_start_and_an_error_only_if_it_came_last() -> None:
    error = {"reason": "enospc"}
    assert merge(Seen(io_error=error), Seen(resumed=True)).io_error is None
    assert merge(Seen(resumed=True), Seen(io_error=error)) == Seen(io_error=error, resumed=True)
    assert merge(Seen(started_at=5.0, resumed=True), Seen(resumed=True)).started_at == 5.0
    assert merge(Seen(started_at=5.0), Seen(started_at=6.0)).started_at == 6.0


def test_the_past_of_many_objects_is_forgotten() -> None:
    agenda = Agenda()
    for number in range(5000):
        agenda.add("guest", str(number), float(number))
        agenda.take(float(number))
    assert len(agenda._past) <= 1001
