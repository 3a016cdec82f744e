"""What the console templates ask for: the menu of key combinations, ready for their buttons."""

from __future__ import annotations

import json
from typing import Any

from django import template

from dashboard.consoles.keys import COMBINATIONS

register = template.Library()


@register.simple_tag
def key_groups() -> list[list[dict[str, Any]]]:
    """Groups of {"label", "params"}; `params` is the JSON that the operation "guest.send_keys" takes."""
    return [
        [{"label": entry.label, "params": json.dumps({"keys": entry.keys})} for entry in group]
        for group in COMBINATIONS
    ]


@register.filter
def display_kind(guest: Any) -> str:
    """ "vnc", "spice" or "": the display that the page would show, as live rows tell it."""
    graphics = guest.facts.get("graphics") or []
    return next((item["kind"] for item in graphics if item.get("kind") in ("vnc", "spice")), "")


@register.filter
def has_serial(guest: Any) -> str:
    """ "true" or "false": whether the guest has a serial line."""
    return "true" if guest.facts.get("serials") else "false"
