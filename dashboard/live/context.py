"""What every page's frame needs to go live: from where its updates go on, and whether the monitor lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from dashboard.accounts.access import can
from dashboard.inventory import bus, clocks, publish
from dashboard.live import formats


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
    return {
        "live_since": noted.since if noted else "",
        "monitor_stale": noted.stale if noted else False,
        "skewed_clocks": _skewed(request) if noted else [],
    }


def _skewed(request: HttpRequest) -> list[str]:
    """What to tell of clocks that are off to who looks after hosts."""
    if not can(request.user, "host.view"):
        return []
    return [_sentence(skew) for skew in clocks.skewed()]


def _sentence(skew: clocks.Skew) -> str:
    values = {"name": skew.name, "time": formats.duration_text(abs(skew.seconds))}
    if skew.host:
        ahead, behind = (
            _("The clock of the host %(name)s is %(time)s ahead."),
            _("The clock of the host %(name)s is %(time)s behind."),
        )
    else:
        ahead, behind = (
            _("The clock of kvmweb's %(name)s is %(time)s ahead."),
            _("The clock of kvmweb's %(name)s is %(time)s behind."),
        )
    return (ahead if skew.seconds > 0 else behind) % values


def monitor_stale() -> bool:
    """Whether the monitor has not shown for 15 s that it lives."""
    try:
        return bus.beat_age(int(bus.client().pttl(bus.HEARTBEAT))) > bus.HEARTBEAT_STALE
    except bus.BusError:
        return True
