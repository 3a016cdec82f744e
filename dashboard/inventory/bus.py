"""This process's connection to Redis, and the names of every key that inventory keeps there."""

from __future__ import annotations

import threading
import time
from typing import Any

import redis
from django.conf import settings
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

LIVE = "kvmweb:live"
"""Stream of changes: replayed to pages that reconnect."""
METRICS = "kvmweb:live:metrics"
"""Stream of statistics: short, never replayed, so that figures do not push changes out of the other one."""
ASK = "kvmweb:ask"
HEARTBEAT = "kvmweb:monitor:heartbeat"
HEARTBEAT_KEPT = 60
"""Seconds that it stays: how many of them are left tells its age by Redis' clock, whatever the monitor's says."""
HEARTBEAT_STALE = 15.0
"""Seconds without a heartbeat after which pages say that they are not live."""

NO_KEY = -2
"""What PTTL says of a key that is not there."""

BusError = redis.RedisError

SILENCE_SECONDS = 3
"""A Redis that says nothing for this long hangs."""

_client: Any = None
_hangs_until = 0.0
_making = threading.Lock()


class _OneSilence(Retry):
    """Waits for a Redis that hangs once; for some seconds after that everybody is told at once that it does."""

    def call_with_retry(self, do: Any, *args: Any, **kwargs: Any) -> Any:
        """Call Redis, unless it was silent just now."""
        global _hangs_until
        if time.monotonic() < _hangs_until:
            raise redis.ConnectionError("Redis hangs")
        try:
            return super().call_with_retry(do, *args, **kwargs)
        except redis.TimeoutError:
            _hangs_until = time.monotonic() + SILENCE_SECONDS
            raise


def client() -> Any:
    """The shared client (thread-safe; its pool notices a fork). Calls end within seconds or raise BusError.

    Untyped on purpose: redis-py's annotations are unions of sync and async results.
    """
    global _client
    if _client is None:
        # Of two that are made at once one is thrown away, and closes its connections under whoever has begun to use it.
        with _making:
            _client = _client or _new()
    return _client


def _new() -> Any:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        decode_responses=True,
        socket_timeout=SILENCE_SECONDS,
        socket_connect_timeout=2,
        max_connections=4000,
        # One quick second try mends a connection that a restarted Redis closed; more would hold up a page.
        retry=_OneSilence(ExponentialBackoff(cap=0.05, base=0.01), 1, (redis.ConnectionError,)),
    )


def beat_age(left_ms: int) -> float:
    """How old the heartbeat is, in seconds, from what PTTL says of it."""
    if left_ms == NO_KEY:
        return float("inf")
    return 0.0 if left_ms < 0 else max(0.0, HEARTBEAT_KEPT - left_ms / 1000)


def metrics_key(host_id: int) -> str:
    """Hash of the newest figures of a host's guests."""
    return f"kvmweb:metrics:{host_id}"


def history_key(host_id: int, uuid: str) -> str:
    """List of the last figures of one guest, newest last."""
    return f"kvmweb:history:{host_id}:{uuid}"


def watching_key(host_id: int) -> str:
    """Exists while a page looks at figures of this host."""
    return f"kvmweb:watching:{host_id}"
