"""What the search box offers while one types: keys with what they mean, and the values there are."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef

from dashboard.accounts.models import User
from dashboard.guests.queries import hosts_of, tags_in_use, visible_to
from dashboard.guests.search_fields import FIELDS
from dashboard.jobs.models import Ownership

MOST = 1000


def vocabulary(user: User) -> list[dict[str, Any]]:
    """Every key with its values; names of hosts, tags and owners only of what the person may see."""
    known = {
        "host": list(hosts_of(user).order_by("name").values_list("name", flat=True)[:MOST]),
        "tag": tags_in_use(user)[:MOST],
        "owner": owners_of_visible(user),
    }
    return [
        {
            "key": key,
            "label": str(field.label),
            "values": known.get(key, list(field.values)),
            "samples": list(field.samples),
        }
        for key, field in FIELDS.items()
    ]


def owners_of_visible(user: User) -> list[str]:
    """The names of those who made a guest that the person may see."""
    seen = visible_to(user).filter(host_id=OuterRef("host_id"), uuid=OuterRef("uuid"))
    names = Ownership.objects.filter(Exists(seen)).values_list("user__username", flat=True).distinct()
    return sorted(names)[:MOST]
