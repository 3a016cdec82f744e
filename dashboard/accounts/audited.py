"""Audit entries of what allauth's own pages change: one's password and second factors."""

from __future__ import annotations

from typing import Any

from allauth.account.signals import password_changed
from allauth.mfa.signals import authentication_failed, authenticator_added, authenticator_removed, authenticator_reset
from django.dispatch import receiver
from django.http import HttpRequest

from dashboard.accounts.adapter import client_ip
from dashboard.accounts.audit import record
from dashboard.accounts.models import User


def _own(request: HttpRequest, user: User, action: str, **detail: str) -> None:
    record(
        actor=user,
        action=action,
        phase="event",
        object_kind="person",
        object_key=str(user.pk),
        object_name=user.get_username(),
        result="ok",
        source_ip=client_ip(request),
        detail=detail,
    )


@receiver(password_changed)
def changed_password(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Somebody changed their own password."""
    _own(request, user, "password.set")


@receiver(authenticator_added)
@receiver(authenticator_reset)
def added_factor(sender: Any, request: HttpRequest, user: User, authenticator: Any, **kwargs: Any) -> None:
    """Somebody added an authenticator app, a passkey or new recovery codes."""
    _own(request, user, "second_factor.add", kind=str(authenticator.type))


@receiver(authenticator_removed)
def removed_factor(sender: Any, request: HttpRequest, user: User, authenticator: Any, **kwargs: Any) -> None:
    """Somebody took one of their second factors away."""
    _own(request, user, "second_factor.remove", kind=str(authenticator.type))


@receiver(authentication_failed)
def wrong_code(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Somebody who knew the password did not know the code, which is not kept."""
    record(
        actor=None,
        action="session.start",
        phase="denied",
        object_kind="person",
        object_key=str(user.pk),
        object_name=user.get_username(),
        result="wrong code",
        source_ip=client_ip(request),
    )
