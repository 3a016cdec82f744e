"""What every page's frame needs to go live: from where its updates go on, and whether the monitor lives."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from dashboard.inventory import bus, publish


@dataclass(frozen=True)
class Mark:
    """Where a page's live updates go on ("": it cannot be live), and whether what it shows may be out of date."""

    since: str
    stale: bool


class LiveMark:
    """Middleware: notes the position of the live stream before the view reads the database, so that nothing is missed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        signed_in = settings.SESSION_COOKIE_NAME in request.COOKIES
        if signed_in and request.method == "GET" and "text/html" in request.headers.get("Accept", "text/html"):
            request.live_mark = mark()  # type: ignore[attr-defined]
        return self.get_response(request)


def mark() -> Mark:
    """The position and the monitor's state as of now."""
    return Mark(publish.last_id(), monitor_stale())


def page(request: HttpRequest) -> dict[str, Any]:
    """`live_since` and `monitor_stale` for templates."""
    noted: Mark | None = getattr(request, "live_mark", None)
    return {"live_since": noted.since if noted else "", "monitor_stale": noted.stale if noted else False}


def monitor_stale() -> bool:
    """Whether the monitor has not shown for 15 s that it lives."""
    try:
        beat = float(bus.client().get(bus.HEARTBEAT) or 0) / 1000
    except bus.BusError:
        return True
    return time.time() - beat > bus.HEARTBEAT_STALE
