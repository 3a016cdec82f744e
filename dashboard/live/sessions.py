"""Who stands behind the sessions of open pages and the tokens of event streams, and what they may see: asked in one batch."""

from __future__ import annotations

from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie

from django.conf import settings

from dashboard.accounts import tokens
from dashboard.accounts.access import Scope, know, scope_of
from dashboard.accounts.models import ApiToken, User
from dashboard.accounts.sessions import holders
from dashboard.inventory.database import tidy

TOKEN = "token "  # noqa: S105
"""Begins the key of who came by an API token; a session's key has no space."""


def scopes(session_keys: Collection[str]) -> dict[str, Scope]:
    """Key → what its person may see; sessions and tokens that have ended and disabled people are left out.

    Four queries for up to 500 sessions; one more where roles of their own play a part; a few for each token.
    """
    try:
        found = _of_tokens({key for key in session_keys if key.startswith(TOKEN)})
        people = holders({key for key in session_keys if not key.startswith(TOKEN)})
        know(list(people.values()))
        return found | {key: scope_of(person) for key, person in people.items()}
    finally:
        tidy()


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
            token.user.__dict__["_limits"], token.user.__dict__["_token"] = tokens.limits(token), token
            found[f"{TOKEN}{token.pk}"] = scope_of(token.user)
    return found


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
