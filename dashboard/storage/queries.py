"""What the storage pages read: pools and volumes of the mirror."""

from __future__ import annotations

from django.db.models import Count, QuerySet

from dashboard.accounts.access import on_hosts_where
from dashboard.accounts.models import User
from dashboard.inventory.models import Pool


def pools(user: User) -> QuerySet[Pool]:
    """The pools that a person may see with `volumes_count` (one query)."""
    seen = Pool.objects.filter(on_hosts_where(user, "storage.view"))
    return seen.select_related("host").annotate(volumes_count=Count("volumes")).order_by("host__name", "name")
