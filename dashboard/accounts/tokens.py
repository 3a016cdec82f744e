"""API tokens: keys for scripts, shown once and kept as hashes, whose right is what owner and scope both allow."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import datetime, timedelta
from secrets import token_urlsafe
from uuid import UUID

from django.db import OperationalError
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.access import Rights, gather
from dashboard.accounts.audit import record
from dashboard.accounts.models import ApiToken, Grant, Role, User
from dashboard.accounts.permissions import PERMISSIONS, ROLES
from dashboard.accounts.second_factor import missing

PREFIX = "kvm_"
"""By which scanners of code and logs know a token that leaked."""
RANDOM_BYTES = 32
SHOWN_CHARACTERS = 10
MOST = 50
"""Tokens that one person may have in force."""
SECONDS_BETWEEN_NOTES = 60


class TooMany(ValueError):
    """The person has so many tokens that they have lost track of them."""

    reason = _("You have %(n)d tokens in force: revoke some first.")


def issue(
    user: User,
    name: str,
    role: str = "",
    place: str = "everything",
    key: str = "",
    expires_at: datetime | None = None,
    *,
    actor: User | None = None,
    source_ip: str = "",
) -> tuple[ApiToken, str]:
    """Make a token; its text, which is kept nowhere, is the second of what comes back."""
    if in_force(user).count() >= MOST:
        raise TooMany
    text = PREFIX + token_urlsafe(RANDOM_BYTES)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        digest=digest(text),
        hint=text[:SHOWN_CHARACTERS],
        role=role,
        place=place,
        key=key,
        expires_at=expires_at,
    )
    _record(token, "token.issue", actor or user, source_ip)
    return token, text


def in_force(user: User) -> QuerySet[ApiToken]:
    """A person's tokens that are neither revoked nor past their end."""
    unended = Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    return ApiToken.objects.filter(unended, user=user, revoked_at__isnull=True)


def revoke(token: ApiToken, *, actor: User, source_ip: str = "") -> None:
    """End a token; what it opened ends when its right is asked for next, within seconds."""
    if ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now()):
        _record(token, "token.revoke", actor, source_ip)


def authenticate(text: str, source_ip: str = "") -> User | None:
    """The owner, limited to the token's scope, or None: unknown, expired or revoked token, or an owner who may not sign in.

    The same work whatever is wrong; nothing is compared but a hash. `user.__dict__["_token"]` is the token.
    """
    wanted = digest(text[:200])
    token = ApiToken.objects.select_related("user").filter(digest=wanted).first()
    if token is None or not constant_time_compare(token.digest, wanted) or not holds(token):
        return None
    user = token.user
    user.__dict__["_limits"], user.__dict__["_token"] = limits(token), token
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > timedelta(seconds=SECONDS_BETWEEN_NOTES):
        with suppress(OperationalError):  # a full database still answers questions
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now, last_used_ip=source_ip[:64])
    return user


def holds(token: ApiToken) -> bool:
    """Whether a token is in force and its owner may sign in with all that is demanded of them."""
    ended = token.expires_at is not None and token.expires_at <= timezone.now()
    return token.revoked_at is None and not ended and token.user.is_active and not missing(token.user)


def still_holds(token_id: UUID) -> bool:
    """The same, asked anew: for what stays open longer than a request."""
    token = ApiToken.objects.select_related("user").filter(pk=token_id).first()
    return token is not None and holds(token)


def limits(token: ApiToken) -> Rights:
    """What the token's scope allows at most; its owner's rights narrow it further."""
    own = Role.objects.filter(slug=token.role).first() if token.role and token.role not in ROLES else None
    held = {token.role: own.allows if own else frozenset()} if token.role else {"": frozenset(PERMISSIONS)}
    return gather([Grant(role=token.role, place=token.place, key=token.key)], held)


def digest(text: str) -> str:
    """What is kept of a token. It is random enough that a plain hash cannot be searched."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _record(token: ApiToken, action: str, actor: User, source_ip: str) -> None:
    record(
        actor=actor,
        action=action,
        phase="event",
        object_kind="token",
        object_key=str(token.pk),
        object_name=token.name,
        result="ok",
        source_ip=source_ip,
        detail={
            "owner": token.user.username,
            "hint": token.hint,
            "role": token.role,
            "place": token.place,
            "key": token.key,
            "expires": token.expires_at.isoformat() if token.expires_at else "",
        },
    )
