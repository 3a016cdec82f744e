"""Audit entries for sign-in and sign-out, and the signal that somebody's rights changed."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.models import Session
from django.db.models.signals import post_delete, post_save
from django.dispatch import Signal, receiver
from django.http import HttpRequest
from django.utils import timezone

from dashboard.accounts.adapter import client_ip
from dashboard.accounts.audit import record
from dashboard.accounts.models import User

rights_changed = Signal()
"""Sent with `user_id` after a person's role changed, or their sessions were ended: open pages look again at once."""


@receiver(user_logged_in)
def signed_in(sender: type[User], request: HttpRequest, user: User, **kwargs: Any) -> None:
    """A session began. Those that are over go: nothing else would ever remove them."""
    from dashboard.accounts.sessions import begin

    Session.objects.filter(expire_date__lt=timezone.now()).delete()
    begin(request, user)
    record(actor=user, action="session.start", phase="event", result="ok", source_ip=client_ip(request))


@receiver(user_logged_out)
def signed_out(sender: type[User], request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    """A session ended by its owner."""
    if user is not None:
        record(actor=user, action="session.end", phase="event", result="ok", source_ip=client_ip(request))


@receiver([post_save, post_delete], sender="mfa.Authenticator")
def second_factors_changed(sender: Any, instance: Any, **kwargs: Any) -> None:
    """An authenticator app or passkey came or went."""
    from dashboard.accounts.second_factor import note

    note(instance.user_id)
