"""Tags that show quotas and owners: of a person or group on their page, of a guest on its own."""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib.auth.models import Group

from dashboard.accounts.models import User
from dashboard.inventory.models import Guest
from dashboard.jobs import gauges, quotas

PROPOSED = 500

register = template.Library()


@register.simple_tag
def quota_of(holder: User | Group) -> dict[str, Any]:
    """What a person or group owns and, where there are limits, the gauges: `{% quota_of someone as quota %}`."""
    found = quotas.own_gauges(holder)
    limits = gauges.shown([found])[0]["gauges"] if found else []
    use, limited = quotas.used_by(holder), {one["resource"] for one in limits}
    unlimited = [
        {"label": label, "text": gauges.plain(resource, use.of(resource))}
        for resource, label in gauges.RESOURCES.items()
        if resource not in limited
    ]
    return {"gauges": limits, "unlimited": unlimited, "group": isinstance(holder, Group)}


@register.simple_tag
def owner_of(guest: Guest) -> User | None:
    """Whose quota a guest counts against."""
    return quotas.owner_of(guest)


@register.simple_tag
def possible_owners() -> list[str]:
    """Names that the field for an owner proposes."""
    return list(User.objects.filter(is_active=True).order_by("username").values_list("username", flat=True)[:PROPOSED])
