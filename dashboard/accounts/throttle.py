"""How often somebody may fail to sign in: strangers share one budget for a name, known browsers have their own.

A stranger who keeps failing under somebody's name uses up what strangers may; the person still signs in from a browser
that signed in before (it holds a signed cookie), and from an address from which they signed in lately.
"""

from __future__ import annotations

import ipaddress
import unicodedata
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any

from allauth.core.internal import ratelimit
from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from dashboard.accounts.models import SignIn, User

BROWSER = "5/5m/key"
"""Failures of one known browser, or of one address, under one name."""
STRANGERS = "30/h/key"
"""Failures under one name from all unknown browsers and addresses together."""
ADDRESS = "10/m/ip"
"""Failures of unknown browsers from one address, under whatever names."""

KNOWN_FOR = timedelta(days=90)
MOST_PEOPLE = 8
"""Whom one browser's cookie knows; the oldest is forgotten."""
SALT = "kvmweb.known-browser"

Budgets = list[tuple[str, str, str]]
"""What a try takes from: (action, rate, key)."""


class Attempt:
    """One try at a password. It counts as failed until `give_back` says otherwise."""

    def __init__(self, request: HttpRequest, username: str) -> None:
        self.allowed = True
        self._taken: list[Any] = []
        for action, rate, key in _budgets(request, username):
            usage = ratelimit.consume(request, app="kvmweb", action=action, config={action: rate}, key=key)
            if usage is None:
                self.allowed = False
                self.give_back()
                return
            self._taken.append(usage)

    def give_back(self) -> None:
        """It was no failure."""
        for usage in self._taken:
            usage.rollback()
        self._taken = []


def _budgets(request: HttpRequest, username: str) -> Budgets:
    person = User.objects.filter(username__iexact=username.strip()).order_by("pk").first()
    name = folded(person.username if person else username)
    browser = _known(request).get(str(person.pk), "") if person else ""
    if browser:
        return [("known-browser", BROWSER, f"{name}:{browser}")]
    here = network(ratelimit.get_ip(request))
    budgets = [("address", ADDRESS, ""), ("name-at-address", BROWSER, f"{name}:{here}")]
    if not (person and _signed_in_lately_from(person, here)):
        budgets.append(("strangers", STRANGERS, name))
    return budgets


def folded(name: str) -> str:
    """A name as it counts: databases differ in which letters they take for one another (PostgreSQL: ſ for s, ı for i)."""
    return unicodedata.normalize("NFKC", name).strip().upper().casefold()


def network(ip: str) -> str:
    """An address as one customer of a provider has it: IPv4 as it is, the /64 of IPv6."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network(f"{address}/64", strict=False))


def _signed_in_lately_from(person: User, here: str) -> bool:
    lately = SignIn.objects.filter(user=person, created_at__gt=timezone.now() - KNOWN_FOR)
    return here in {network(ip) for ip in lately.order_by().values_list("ip", flat=True).distinct()[:500]}


def _known(request: HttpRequest) -> dict[str, str]:
    """Who signed in with this browser before: person → the browser's own number."""
    try:
        known = signing.loads(request.COOKIES.get(settings.KNOWN_BROWSER_COOKIE_NAME, ""), salt=SALT, max_age=KNOWN_FOR)
    except signing.BadSignature:
        return {}
    return known if isinstance(known, dict) else {}


def remember_browser(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Have the browser know that this person signed in with it. It proves nothing else and opens nothing."""
    known = _known(request)
    number = known.pop(str(user.pk), "") or token_urlsafe(12)
    known = {**dict(list(known.items())[1 - MOST_PEOPLE :]), str(user.pk): number}
    response.set_cookie(
        settings.KNOWN_BROWSER_COOKIE_NAME,
        signing.dumps(known, salt=SALT),
        max_age=KNOWN_FOR,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
