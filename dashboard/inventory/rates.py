"""Turning counters of one round and the round before into rates."""

from __future__ import annotations

from dashboard.inventory.metrics import Sample
from dashboard.virt.facts import GuestState, GuestStats

COUNTERS = ("read_bytes", "written_bytes", "received_bytes", "sent_bytes")


class Rates:
    """Remembers the last counters of each guest of one host."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, GuestStats]] = {}

    def take(self, stats: list[GuestStats], now: float) -> tuple[dict[str, Sample], list[str]]:
        """Counters read at `now` (seconds) → samples of running guests by UUID, and those that no longer run.

        The first round of a guest has nothing to compare with and gives no sample; a counter that went back (the guest
        was started again) gives none either. A guest that is told without figures (hung) gives none.
        """
        samples: dict[str, Sample] = {}
        running: dict[str, tuple[float, GuestStats]] = {}
        for one in stats:
            if one.state in (GuestState.SHUTOFF, GuestState.CRASHED, GuestState.UNKNOWN):
                continue
            before = self._last.get(one.uuid)
            running[one.uuid] = (now, one) if one.cpu_time_ns is not None or before is None else before
            sample = _sample(before, one, now) if before is not None else None
            if sample is not None:
                samples[one.uuid] = sample
        stopped = [uuid for uuid in self._last if uuid not in running]
        self._last = running
        return samples, stopped


def _sample(before: tuple[float, GuestStats], now_stats: GuestStats, now: float) -> Sample | None:
    then, last = before
    seconds = now - then
    if seconds <= 0 or now_stats.cpu_time_ns is None or last.cpu_time_ns is None:
        return None
    used = now_stats.cpu_time_ns - last.cpu_time_ns
    if used < 0:
        return None
    cpu = used / 1e9 / seconds / max(1, now_stats.vcpus or 1)
    return [
        round(now * 1000),
        round(min(1.0, cpu), 4),
        now_stats.memory_used_kib,
        now_stats.memory_kib,
        *(_rate(getattr(last, name), getattr(now_stats, name), seconds) for name in COUNTERS),
    ]


def _rate(last: int | None, now: int | None, seconds: float) -> int | None:
    """Per second; None where it is not told, 0 where a device with its counter was taken away."""
    if last is None or now is None:
        return None
    return max(0, round((now - last) / seconds))
