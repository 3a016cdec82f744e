"""What pages of signing in ask: whether browsers allow passkeys at our address."""

from __future__ import annotations

from django import template

from dashboard.accounts.second_factor import passkeys_work_here

register = template.Library()
register.simple_tag(passkeys_work_here)
