"""How allauth signs people in here: nobody signs up, every sign-in and failure is audited."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """People are added by an administrator; there is no sign-up and no mail."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never: an administrator adds people."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address that our own nginx wrote; browsers cannot choose it (nginx sets the header, never appends)."""
        return client_ip(request)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Leave a trace of a failed sign-in, without the password."""
        from dashboard.accounts.audit import record

        super().authentication_failed(request, **credentials)
        record(
            actor=None,
            action="session.start",
            phase="denied",
            object_kind="person",
            object_name=str(credentials.get("username", ""))[:150],
            result="wrong name or password",
            source_ip=client_ip(request),
        )


def client_ip(request: HttpRequest) -> str:
    """The person's address: X-Forwarded-For as set by our nginx on the UNIX socket, else the socket's peer."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return str(forwarded.rsplit(",", 1)[-1].strip() or request.META.get("REMOTE_ADDR") or "")[:64]
