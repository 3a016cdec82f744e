"""The newest figures of running guests and their short history, kept in Redis only."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

from dashboard.inventory import bus

log = logging.getLogger(__name__)

Sample = list[Any]
"""[t_ms, cpu 0..1 of all vCPUs, memory_used_kib|None, memory_kib, read_Bps, write_Bps, rx_Bps, tx_Bps]; unknown: None"""

HISTORY = 300
WATCH_SECONDS = 10
KEEP_SECONDS = 86_400


def latest(pairs: Iterable[tuple[int, str]]) -> dict[tuple[int, str], Sample]:
    """The newest figures of these (host id, guest uuid); guests without figures are left out. One round trip."""
    by_host: dict[int, list[str]] = {}
    for host_id, uuid in pairs:
        by_host.setdefault(host_id, []).append(str(uuid))
    if not by_host:
        return {}
    try:
        pipe = bus.client().pipeline(transaction=False)
        for host_id, uuids in by_host.items():
            pipe.hmget(bus.metrics_key(host_id), uuids)
        answers = pipe.execute()
    except bus.BusError as error:
        log.warning("Redis is away, no figures: %s", error)
        return {}
    return {
        (host_id, uuid): json.loads(value)
        for (host_id, uuids), values in zip(by_host.items(), answers, strict=True)
        for uuid, value in zip(uuids, values, strict=True)
        if value
    }


def history(host_id: int, uuid: str) -> list[Sample]:
    """Up to 300 samples of one guest, oldest first; 2 s apart while somebody looked, 30 s otherwise."""
    try:
        values = bus.client().lrange(bus.history_key(host_id, str(uuid)), 0, -1)
    except bus.BusError as error:
        log.warning("Redis is away, no history: %s", error)
        return []
    return [json.loads(value) for value in values]


def watch(*host_ids: int) -> None:
    """Say that somebody looks at figures of these hosts for the next 10 s: the monitor reads them every 2 s then."""
    if not host_ids:
        return
    try:
        pipe = bus.client().pipeline(transaction=False)
        for host_id in host_ids:
            pipe.set(bus.watching_key(host_id), "1", ex=WATCH_SECONDS, get=True)
        fresh = [host_id for host_id, old in zip(host_ids, pipe.execute(), strict=True) if old is None]
        for host_id in fresh:
            bus.client().publish(bus.ASK, json.dumps({"host": host_id, "what": "watch", "uuid": ""}))
    except bus.BusError as error:
        log.warning("Redis is away, nobody is told to watch: %s", error)


def watched(host_ids: Iterable[int]) -> set[int]:
    """Which of these hosts somebody looks at. Raises BusError."""
    wanted = list(host_ids)
    if not wanted:
        return set()
    values = bus.client().mget([bus.watching_key(host_id) for host_id in wanted])
    return {host_id for host_id, value in zip(wanted, values, strict=True) if value}


def record(host_id: int, t: int, samples: dict[str, Sample], gone: Iterable[str], *, tell: bool) -> None:
    """Store one round of figures, forget those of guests that stopped, and tell pages if somebody looks. Raises BusError."""
    pipe = bus.client().pipeline(transaction=False)
    texts = {uuid: json.dumps(sample, separators=(",", ":")) for uuid, sample in samples.items()}
    if texts:
        pipe.hset(bus.metrics_key(host_id), mapping=texts)
        pipe.expire(bus.metrics_key(host_id), KEEP_SECONDS)
    for uuid, text in texts.items():
        key = bus.history_key(host_id, uuid)
        pipe.rpush(key, text)
        pipe.ltrim(key, -HISTORY, -1)
        pipe.expire(key, KEEP_SECONDS)
    stopped = list(gone)
    if stopped:
        pipe.hdel(bus.metrics_key(host_id), *stopped)
    if tell and samples:
        message = {"k": "metrics", "host": host_id, "t": t, "rows": samples}
        pipe.xadd(bus.METRICS, {"m": json.dumps(message, separators=(",", ":"))}, maxlen=100, approximate=True)
    if len(pipe):
        pipe.execute()


def forget(host_id: int, uuids: Iterable[str] = ()) -> None:
    """Drop the figures of guests that are gone; without uuids those of a whole host that stopped answering."""
    wanted = list(uuids)
    try:
        if wanted:
            bus.client().hdel(bus.metrics_key(host_id), *wanted)
            bus.client().delete(*(bus.history_key(host_id, uuid) for uuid in wanted))
        else:
            bus.client().delete(bus.metrics_key(host_id))
    except bus.BusError as error:
        log.warning("Redis is away, old figures stay for a day: %s", error)
