"""One-time links by which people set a password that no administrator ever knew: 24 hours, once, kept as a hash."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from secrets import token_urlsafe

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from dashboard.accounts.audit import record
from dashboard.accounts.giving import refuse_take_over
from dashboard.accounts.models import PasswordLink, User
from dashboard.accounts.people import end_sessions

LASTS = timedelta(hours=24)


def make(*, actor: User, person: User, source_ip: str = "") -> str:
    """The address of a new link for this person; earlier ones end. It is shown once, to who made it.

    Raises Refusal for a person who may do more than who makes it: the link would let them be that person.
    """
    refuse_take_over(actor, person)
    token = token_urlsafe(32)
    now = timezone.now()
    with transaction.atomic():
        PasswordLink.objects.filter(user=person).delete()
        PasswordLink.objects.filter(expires_at__lt=now).delete()
        PasswordLink.objects.create(user=person, digest=_digest(token), expires_at=now + LASTS)
        _record(actor, person, "password.link", source_ip)
    return settings.PUBLIC_URL + reverse("accounts:set-password", args=[token])


def person_of(token: str) -> User | None:
    """For whom the link is, while it may be used."""
    link = PasswordLink.objects.select_related("user").filter(digest=_digest(token), expires_at__gt=timezone.now())
    found = link.first()
    return found.user if found and found.user.is_active else None


def use(token: str, password: str, *, source_ip: str = "") -> User | None:
    """Set the password and sign the person out everywhere; None for a link that was used meanwhile.

    Raises ValidationError for a weak password. A second factor is asked for as before: the link does not stand for it.
    """
    person = person_of(token)
    if person is None:
        return None
    validate_password(password, person)
    with transaction.atomic():
        if not PasswordLink.objects.filter(digest=_digest(token)).delete()[0]:
            return None
        person.set_password(password)
        person.save(update_fields=["password"])
        _record(person, person, "password.set", source_ip)
    end_sessions(person)
    return person


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _record(actor: User, person: User, action: str, source_ip: str) -> None:
    record(
        actor=actor,
        action=action,
        phase="event",
        object_kind="person",
        object_key=str(person.pk),
        object_name=person.username,
        result="ok",
        source_ip=source_ip,
    )
