"""Filters that only the guests' templates need."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import template

register = template.Library()


@register.filter
def moment(milliseconds: int | None) -> datetime | None:
    """A time of a live row (milliseconds since 1970) as a time."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


@register.filter
def lookup(table: dict[str, Any], key: str) -> Any:
    """The entry of a table, or the key where there is none."""
    return table.get(key, key)
