"""Searches that people keep, for themselves or for everybody."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from dashboard.accounts.access import can, can_somewhere
from dashboard.accounts.models import User
from dashboard.guests.models import SavedSearch

MOST = 50
"""Of one person."""


def visible_searches(user: User) -> QuerySet[SavedSearch]:
    """One's own, and those that others share."""
    return SavedSearch.objects.filter(Q(owner=user) | Q(shared=True)).select_related("owner")


def may_share(user: User) -> bool:
    """Who may change any guest may put a search on everybody's list."""
    return can_somewhere(user, "guest.change")


def may_edit(user: User, kept: SavedSearch) -> bool:
    """One's own; and what is shared, for those who look after people."""
    return kept.owner_id == user.pk or (kept.shared and can(user, "people.manage"))
