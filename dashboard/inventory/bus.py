"""This process's connection to Redis, and the names of every key that inventory keeps there."""

from __future__ import annotations

import threading
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
HEARTBEAT_STALE = 15.0
"""Seconds without a heartbeat after which pages say that they are not live."""

BusError = redis.RedisError

_client: Any = None
_making = threading.Lock()


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
        socket_timeout=5,
        socket_connect_timeout=2,
        max_connections=4000,
        # One quick second try mends a connection that a restarted Redis closed; more would hold up a page.
        retry=Retry(ExponentialBackoff(cap=0.05, base=0.01), 1),
    )


def metrics_key(host_id: int) -> str:
    """Hash of the newest figures of a host's guests."""
    return f"kvmweb:metrics:{host_id}"


def history_key(host_id: int, uuid: str) -> str:
    """List of the last figures of one guest, newest last."""
    return f"kvmweb:history:{host_id}:{uuid}"


def watching_key(host_id: int) -> str:
    """Exists while a page looks at figures of this host."""
    return f"kvmweb:watching:{host_id}"
