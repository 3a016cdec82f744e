"""What the storage pages read: pools and volumes of the mirror."""

from __future__ import annotations

from django.db.models import Count, QuerySet

from dashboard.inventory.models import Pool


def pools() -> QuerySet[Pool]:
    """All pools of all hosts with `volumes_count` (one query)."""
    return Pool.objects.select_related("host").annotate(volumes_count=Count("volumes")).order_by("host__name", "name")
