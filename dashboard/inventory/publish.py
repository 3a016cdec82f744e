"""Publishing changes to every open page, through one Redis stream."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from typing import Any

from dashboard.inventory import bus

log = logging.getLogger(__name__)

MAX_LENGTH = 20_000
FLOOD = 500
"""More changes at once than this are told as "look again": fetching a page is cheaper than that many patches."""

_missed = threading.Event()


def publish(message: dict[str, Any]) -> str:
    """Put one live message on the stream; returns its id, or "" while Redis is away (see `flush`)."""
    ids = publish_many([message])
    return ids[-1] if ids else ""


def publish_many(messages: Sequence[dict[str, Any]]) -> list[str]:
    """Put messages on the stream in one round trip; returns their ids.

    Nothing is buffered while Redis is away: the next call that gets through says "resync" first, so that pages
    fetch what they missed.
    """
    if not messages:
        return []
    if len(messages) > FLOOD:
        messages = [message for message in messages if message.get("k") == "host"] + [{"k": "resync"}]
    if _missed.is_set():
        messages = [{"k": "resync"}, *messages]
    try:
        pipe = bus.client().pipeline(transaction=False)
        for message in messages:
            pipe.xadd(bus.LIVE, {"m": encode(message)}, maxlen=MAX_LENGTH, approximate=True)
        ids: list[str] = pipe.execute()
    except bus.BusError as error:
        if not _missed.is_set():
            log.warning("Redis is away, pages are told to look again later: %s", error)
        _missed.set()
        return []
    _missed.clear()
    return ids


def flush() -> None:
    """Say "resync" if messages were missed and Redis is back."""
    if _missed.is_set():
        publish_many([{"k": "resync"}])


def last_id() -> str:
    """Id of the newest message: where a page's live updates go on from. "" while Redis is away.

    Take it before reading the database. A stream that has no message yet gets its first one here, so that a
    position always names a message, and a position that is gone always means a gap.
    """
    try:
        newest = bus.client().xrevrange(bus.LIVE, count=1)
        if newest:
            return str(newest[0][0])
        return str(bus.client().xadd(bus.LIVE, {"m": encode({"k": "start"})}))
    except bus.BusError as error:
        log.warning("Redis is away, this page will not be live: %s", error)
        return ""


def encode(message: dict[str, Any]) -> str:
    """The message as compact JSON."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)
