"""Marks on views: which permission each needs, or that it is open to everybody."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from dashboard.accounts.access import can_somewhere

View = Callable[..., HttpResponseBase]


class Missing(PermissionDenied):
    """Refused for want of this permission; the 403 page names it."""

    def __init__(self, permission: str) -> None:
        super().__init__(permission)
        self.permission = permission


def need(permission: str) -> Callable[[View], View]:
    """Let only people with `permission` on anything into the view; others get the 403 page. Objects are checked in it."""

    def mark(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not can_somewhere(request.user, permission):
                raise Missing(permission)
            return view(request, *args, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded

    return mark


def signed_in(view: View) -> View:
    """Mark a view that every signed-in person may use (their own things)."""
    view.permission = "signed-in"  # type: ignore[attr-defined]
    return view


def public(view: View) -> View:
    """Mark a view that needs no sign-in."""
    view.permission = "public"  # type: ignore[attr-defined]
    return view


def sets_up_second_factor(view: View) -> View:
    """Mark a view that also serves people who must set up a second factor before anything else."""
    view.sets_up_second_factor = True  # type: ignore[attr-defined]
    return view
