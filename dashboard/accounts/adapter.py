"""How allauth signs people in here: nobody signs up, every sign-in and failure is audited."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest, HttpResponse


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """People are added by an administrator; there is no sign-up and no mail."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never: an administrator adds people."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address that our own nginx wrote; browsers cannot choose it (nginx sets the header, never appends)."""
        return client_ip(request)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Refuse a try for which too many failed before; see `throttle` for whose count."""
        from dashboard.accounts.throttle import Attempt

        self._attempt = Attempt(request, str(credentials.get("username", "")))
        if not self._attempt.allowed:
            raise self.validation_error("too_many_login_attempts")

    def _rollback_login_failed_rl_usage(self) -> None:
        self._attempt.give_back()

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse:
        """Have the browser known as one with which this person signed in."""
        from dashboard.accounts.throttle import remember_browser

        response: HttpResponse = super().post_login(request, user, **kwargs)
        remember_browser(request, response, user)
        return response

    def is_reauthentication_required(self, app: str = "") -> bool:
        """Not within ten minutes of signing in."""
        from allauth.core import context

        from dashboard.accounts.recent import recently

        return not recently(context.request)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Who has a second factor confirms with it: the password alone must not take it away."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        return [one for one in methods if one["id"] != "reauthenticate"] or methods

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
