"""Rates from counters."""

from __future__ import annotations

from dataclasses import replace

from dashboard.inventory.rates import Rates
from dashboard.virt.facts import GuestState, GuestStats

ONE = GuestStats(
    uuid="a", state=GuestState.RUNNING, reason="", cpu_time_ns=1_000_000_000, vcpus=2, memory_kib=1024, memory_used_kib=512,
    read_bytes=0, written_bytes=100, received_bytes=None, sent_bytes=50,
)  # fmt: skip


def test_two_rounds_make_a_rate() -> None:
    rates = Rates()
    assert rates.take([ONE], 100.0) == ({}, [])
    later = replace(ONE, cpu_time_ns=3_000_000_000, read_bytes=4000, written_bytes=100, sent_bytes=0)
    samples, gone = rates.take([later], 102.0)
    assert gone == []
    assert samples == {"a": [102_000, 0.5, 512, 1024, 2000, 0, None, 0]}


def test_more_than_all_processors_is_all() -> None:
    rates = Rates()
    rates.take([ONE], 0.0)
    samples, _ = rates.take([replace(ONE, cpu_time_ns=99_000_000_000)], 2.0)
    assert samples["a"][1] == 1.0


def test_a_restarted_guest_gives_no_rate_once() -> None:
    rates = Rates()
    rates.take([ONE], 0.0)
    assert rates.take([replace(ONE, cpu_time_ns=5)], 2.0) == ({}, [])
    assert rates.take([replace(ONE, cpu_time_ns=2_000_000_005)], 4.0)[0]["a"][1] == 0.5


def test_a_hung_guest_gives_no_sample_and_its_next_one_is_the_mean_since() -> None:
    rates = Rates()
    rates.take([ONE], 0.0)
    assert rates.take([replace(ONE, cpu_time_ns=None)], 2.0) == ({}, [])
    assert rates.take([replace(ONE, cpu_time_ns=5_000_000_000)], 4.0)[0]["a"][1] == 0.5


def test_guests_that_stopped_are_named() -> None:
    rates = Rates()
    rates.take([ONE, replace(ONE, uuid="b")], 0.0)
    assert rates.take([replace(ONE, state=GuestState.SHUTOFF)], 2.0) == ({}, ["a", "b"])
