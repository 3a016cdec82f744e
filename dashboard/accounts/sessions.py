"""Where people are signed in: who stands behind a session, since when, and how one ends."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from dashboard.accounts.adapter import client_ip
from dashboard.accounts.audit import record
from dashboard.accounts.models import SignIn, User
from dashboard.accounts.second_factor import missing_among

SIGN_IN = "sign_in"
"""Names the SignIn in a session's data; it stays the same when the session's key changes."""
SINCE = "signed_in_at"
BATCH = 500
SECONDS_BETWEEN_NOTES = 60
SECONDS_UNTIL_NEXT_TRY = 10
KEPT = timedelta(days=90)

_noted: dict[tuple[int, str], float] = {}
"""(sign-in, session key) → when this process last wrote that it was seen."""


def begin(request: HttpRequest, user: User) -> None:
    """Note a sign-in that has just happened."""
    _note(request, user)
    request.session[SINCE] = time.time()


def _note(request: HttpRequest, user: User) -> None:
    if not request.session.session_key:
        request.session.create()
    now = timezone.now()
    SignIn.objects.filter(last_seen_at__lt=now - KEPT).delete()
    made = SignIn.objects.create(
        user=user,
        session_key=request.session.session_key or "",
        ip=client_ip(request),
        user_agent=request.META.get("HTTP_USER_AGENT", "")[:255],
        last_seen_at=now,
    )
    request.session[SIGN_IN] = made.pk


def seen(request: HttpRequest) -> bool:
    """Note, at most once a minute, that the session is in use. False: it was idle for too long, or lasted long enough."""
    number, key = int(request.session.get(SIGN_IN, 0)), request.session.session_key or ""
    now = time.monotonic()
    if now - _noted.get((number, key), -SECONDS_BETWEEN_NOTES) < SECONDS_BETWEEN_NOTES:
        return True
    mine, present = SignIn.objects.filter(pk=number, user=request.user.pk), timezone.now()
    try:
        # Its key changes with the password.
        noted = mine.exclude(_over(present)).update(last_seen_at=present, session_key=key, ip=client_ip(request))
        if not noted and mine.exists():
            return False
        if not noted:
            _note(request, request.user)  # type: ignore[arg-type]
    except OperationalError:
        # A full database is read all the same: who is signed in stays so for as long as they may.
        now -= SECONDS_BETWEEN_NOTES - SECONDS_UNTIL_NEXT_TRY
        if mine.filter(_over(present)).exists():
            return False
    if len(_noted) > 10_000:
        _noted.clear()
    _noted[number, key] = now
    return True


def _over(now: datetime) -> Q:
    """The sign-ins that were idle for too long, or have lasted as long as any may."""
    longest = timedelta(seconds=settings.SESSION_COOKIE_AGE)
    idle = timedelta(seconds=settings.SESSION_IDLE_SECONDS or settings.SESSION_COOKIE_AGE)
    return Q(last_seen_at__lt=now - idle) | Q(created_at__lt=now - longest)


def _open(sessions: QuerySet[Session]) -> QuerySet[Session]:
    """Of these sessions those that are not over."""
    now = timezone.now()
    over = SignIn.objects.filter(_over(now)).values("session_key")
    return sessions.filter(expire_date__gt=now).exclude(session_key__in=over)


def holders(session_keys: Collection[str]) -> dict[str, User]:
    """Session key → the person who may use it now; three queries for up to 500 sessions.

    Left out are sessions that ended, were idle for too long, or were made with an earlier password; disabled people; and
    people who must set up a second factor first. Pages ask the same of each request in `middleware`.
    """
    keys = sorted(set(session_keys))
    found: dict[str, User] = {}
    for start in range(0, len(keys), BATCH):
        rows = _open(Session.objects.filter(session_key__in=keys[start : start + BATCH]))
        claims = {row.session_key: _claim(row.session_data) for row in rows}
        people = User.objects.in_bulk({user for user, _proof in claims.values() if user})
        stopped = missing_among(people.values())
        for key, (user, proof) in claims.items():
            person = people.get(user)
            if person is None or not person.is_active or user in stopped:
                continue
            if constant_time_compare(proof, person.get_session_auth_hash()):
                found[key] = person
    return found


@lru_cache(maxsize=4096)
def _claim(session_data: str) -> tuple[int, str]:
    """The user id that a stored session names and the proof that it was made with that person's password."""
    data = Session(session_data=session_data).get_decoded()
    if data.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return 0, ""
    return int(data.get(SESSION_KEY) or 0), str(data.get(HASH_SESSION_KEY) or "")


@dataclass(frozen=True)
class Listed:
    """One place where somebody is signed in, as shown."""

    pk: int
    browser: str
    ip: str
    since: datetime
    last_seen: datetime
    here: bool


def listed(person: User, present_key: str = "") -> list[Listed]:
    """Where a person is signed in, the session with `present_key` first."""
    mine = SignIn.objects.filter(user=person).exclude(session_key="")
    alive = {key for key in _holding(mine) if key}
    rows = [
        Listed(
            one.pk, browser(one.user_agent), one.ip, one.created_at, one.last_seen_at, one.session_key == present_key
        )
        for one in mine
        if one.session_key in alive
    ]
    return sorted(rows, key=lambda one: not one.here)


def _holding(mine: QuerySet[SignIn]) -> set[str]:
    sessions = _open(Session.objects.filter(session_key__in=mine.values("session_key")))
    return set(sessions.values_list("session_key", flat=True))


def end(chosen: Iterable[SignIn], *, actor: User, source_ip: str = "") -> int:
    """End these sign-ins; their open pages and consoles follow within seconds. Returns how many were still open."""
    from dashboard.accounts.signals import rights_changed

    ended = 0
    for one in chosen:
        there = Session.objects.filter(session_key=one.session_key).delete()[0] if one.session_key else 0
        if not there:
            continue
        ended += 1
        record(
            actor=actor,
            action="session.end",
            phase="event",
            object_kind="person",
            object_key=str(one.user_id),
            object_name=one.user.username,
            result="ok",
            source_ip=source_ip,
            detail={"address": one.ip, "browser": browser(one.user_agent)},
        )
        rights_changed.send(sender=User, user_id=one.user_id)
    return ended


BROWSERS = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"), ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl"),
)  # fmt: skip
SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"), ("X11", "Unix"),
)  # fmt: skip


def browser(user_agent: str) -> str:
    """A browser's name for people, from what it says about itself; anybody may say anything there."""
    name = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    if name and system:
        return _("%(browser)s on %(system)s") % {"browser": name, "system": system}
    return name or system or _("Unknown browser")
