"""What pages of signing in ask: whether browsers allow passkeys at our address, and which roles demand a second factor."""

from __future__ import annotations

from django import template

from dashboard.accounts.second_factor import demanding_roles, passkeys_work_here

register = template.Library()
register.simple_tag(passkeys_work_here)


@register.simple_tag
def demands_second_factor(slug: str) -> bool:
    """Whether the role does."""
    return slug in demanding_roles()
