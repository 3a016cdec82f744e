"""Small pictures of guests' screens, kept in Redis for a minute: which are wanted, and what was taken last."""

from __future__ import annotations

import base64
import hashlib
import logging
import time
from collections.abc import Iterable

from dashboard.inventory import bus

log = logging.getLogger(__name__)

WANTED_SECONDS = 15
"""A page that shows pictures says every few seconds which; when it is closed nobody takes any more."""
EVERY_SECONDS = 10.0
"""No guest's picture is taken more often, however many look."""
KEEP_SECONDS = 60
MOST_PER_HOST = 100
NONE = "-"
"""The mark of a guest of which there is no picture to be had."""

Pair = tuple[int, str]
"""A guest's host id and UUID."""


def want(pairs: Iterable[Pair]) -> None:
    """Say that somebody looks at these guests' pictures for the next 15 s."""
    until = time.time() + WANTED_SECONDS
    try:
        pipe = bus.client().pipeline(transaction=False)
        for host_id, uuid in pairs:
            pipe.zadd(_wanted_key(host_id), {str(uuid): until})
            pipe.expire(_wanted_key(host_id), KEEP_SECONDS)
        pipe.execute()
    except bus.BusError as error:
        log.warning("Redis is away, nobody takes pictures: %s", error)


def wanted(host_ids: Iterable[int]) -> dict[int, list[str]]:
    """The guests of these hosts whose pictures somebody wants now. Raises BusError."""
    hosts = list(host_ids)
    if not hosts:
        return {}
    pipe = bus.client().pipeline(transaction=False)
    for host_id in hosts:
        pipe.zrangebyscore(_wanted_key(host_id), time.time(), "+inf", start=0, num=MOST_PER_HOST)
    found = zip(hosts, pipe.execute(), strict=True)
    return {host_id: [str(uuid) for uuid in uuids] for host_id, uuids in found if uuids}


def keep(host_id: int, uuid: str, picture: bytes) -> None:
    """Store a guest's newest picture; b"": there is none to be had."""
    mark = hashlib.sha256(picture).hexdigest()[:16] if picture else NONE
    try:
        pipe = bus.client().pipeline()
        pipe.set(_mark_key(host_id, uuid), mark, ex=KEEP_SECONDS)
        pipe.set(_picture_key(host_id, uuid), base64.b64encode(picture).decode(), ex=KEEP_SECONDS)
        pipe.execute()
    except bus.BusError as error:
        log.debug("Redis is away, a picture is lost: %s", error)


def marks(pairs: Iterable[Pair]) -> dict[Pair, str]:
    """The mark of each guest's newest picture (another one means another picture); guests without are left out."""
    all_pairs = list(pairs)
    if not all_pairs:
        return {}
    try:
        found = bus.client().mget([_mark_key(*pair) for pair in all_pairs])
    except bus.BusError as error:
        log.warning("Redis is away, no pictures: %s", error)
        return {}
    return {pair: str(mark) for pair, mark in zip(all_pairs, found, strict=True) if mark}


def picture(host_id: int, uuid: str) -> tuple[str, bytes] | None:
    """The newest picture (WebP) with its mark; None where there is none."""
    try:
        mark, text = bus.client().mget([_mark_key(host_id, uuid), _picture_key(host_id, uuid)])
    except bus.BusError as error:
        log.warning("Redis is away, no picture: %s", error)
        return None
    return (str(mark), base64.b64decode(text)) if mark and text else None


def _wanted_key(host_id: int) -> str:
    return f"kvmweb:screens:wanted:{host_id}"


def _mark_key(host_id: int, uuid: str) -> str:
    return f"kvmweb:screens:mark:{host_id}:{uuid}"


def _picture_key(host_id: int, uuid: str) -> str:
    return f"kvmweb:screens:picture:{host_id}:{uuid}"
