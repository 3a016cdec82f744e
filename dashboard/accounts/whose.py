"""Whose rights on an object a page explains: one's own, or for who manages people anybody's."""

from __future__ import annotations

from typing import Any, cast

from django.http import Http404, HttpRequest

from dashboard.accounts.access import Placed, can
from dashboard.accounts.decorators import Missing
from dashboard.accounts.explain import explain
from dashboard.accounts.models import User


def explained(request: HttpRequest, placed: Placed) -> dict[str, Any]:
    """The person, the answers, and the people who may be chosen instead."""
    user, asked = cast("User", request.user), request.GET.get("person", "")
    manages = can(user, "people.manage")
    someone: User | None = user
    if asked and asked != str(user.pk):
        if not manages:
            raise Missing("people.manage")
        someone = User.objects.filter(pk=int(asked)).first() if asked.isdecimal() and len(asked) < 16 else None
    if someone is None:
        raise Http404
    return {
        "someone": someone,
        "answers": explain(someone, placed.place),
        "people": User.objects.order_by("username").only("username") if manages else [],
    }
