"""Who stands behind the sessions of open pages and the tokens of event streams, and what they may see: asked in one batch."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from dashboard.accounts import tokens
from dashboard.accounts.access import Scope, know, scope_of
from dashboard.accounts.models import ApiToken, User

BATCH = 500
TOKEN = "token "
"""Begins the key of who came by an API token; a session's key has no space."""


def scopes(session_keys: Collection[str]) -> dict[str, Scope]:
    """Key → what its person may see; sessions and tokens that have ended and disabled people are left out.

    Three queries for up to 500 sessions; one more where roles of their own play a part; a few for each token.
    """
    keys = sorted(key for key in set(session_keys) if not key.startswith(TOKEN))
    found = _of_tokens({key for key in session_keys if key.startswith(TOKEN)})
    for start in range(0, len(keys), BATCH):
        rows = Session.objects.filter(session_key__in=keys[start : start + BATCH], expire_date__gt=timezone.now())
        claims = {row.session_key: _claim(row.session_data) for row in rows}
        people = User.objects.in_bulk({user for user, _ in claims.values() if user})
        know(list(people.values()))
        for key, (user, proof) in claims.items():
            person = people.get(user)
            if person is not None and person.is_active and constant_time_compare(proof, person.get_session_auth_hash()):
                found[key] = scope_of(person)
    if connection.vendor != "sqlite":
        connection.close_if_unusable_or_obsolete()
    return found


def key_of_token(user: User) -> str:
    """The key of who came by a token, as `tokens.authenticate` gave them."""
    token: ApiToken = user.__dict__["_token"]
    return f"{TOKEN}{token.pk}"


def _of_tokens(keys: set[str]) -> dict[str, Scope]:
    if not keys:
        return {}
    found: dict[str, Scope] = {}
    for token in ApiToken.objects.select_related("user").filter(pk__in=[key.removeprefix(TOKEN) for key in keys]):
        if tokens.holds(token):
            token.user.__dict__["_limits"] = tokens.limits(token)
            found[f"{TOKEN}{token.pk}"] = scope_of(token.user)
    return found


@lru_cache(maxsize=4096)
def _claim(session_data: str) -> tuple[int, str]:
    """The user id that a stored session names and the proof that it was made with that person's password."""
    data = Session(session_data=session_data).get_decoded()
    if data.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return 0, ""
    return int(data.get(SESSION_KEY) or 0), str(data.get(HASH_SESSION_KEY) or "")


def session_key(headers: Collection[tuple[bytes, bytes]]) -> str:
    """The session cookie of a handshake, or ""."""
    for name, value in headers:
        if name.lower() == b"cookie":
            try:
                morsel = SimpleCookie(value.decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
            except CookieError:
                continue
            if morsel is not None:
                return morsel.value
    return ""
