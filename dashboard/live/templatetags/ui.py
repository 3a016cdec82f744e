"""Tags and filters of every page: icons, states, sizes, times, navigation, permissions and operation buttons."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.contrib.staticfiles.storage import staticfiles_storage
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard.accounts.access import can, can_somewhere
from dashboard.accounts.models import Role
from dashboard.accounts.permissions import PERMISSIONS, ROLE_LABELS
from dashboard.jobs.operation import OPERATIONS
from dashboard.live import formats

register = template.Library()

register.filter("bytes", formats.bytes_text)
register.filter("rate", formats.rate_text)
register.filter("percent", formats.percent_text)
register.filter("duration", formats.duration_text)


@register.filter
def kib(value: float | None) -> str:
    """A size in KiB, as libvirt gives memory."""
    return formats.bytes_text(None if value is None else value * 1024)


def _time(moment: datetime | None, text: str, mode: str) -> SafeString:
    if moment is None:
        return SafeString(formats.DASH)
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}" data-time="{}">{}</time>',
        local.isoformat(),
        date_format(local, "Y-m-d H:i:s T"),
        mode,
        text,
    )


@register.filter
def ago(moment: datetime | None) -> SafeString:
    """A time as "5 min ago" that stays true while the page is open, with the exact time as its title."""
    return _time(moment, formats.ago_text(moment) if moment else "", "ago")


@register.filter
def elapsed(moment: datetime | None) -> SafeString:
    """How long since a time ("3 d 4 h": uptime), kept true while the page is open."""
    return _time(moment, formats.duration_text(timezone.now() - moment) if moment else "", "elapsed")


@register.filter
def exact(moment: datetime | None) -> SafeString:
    """A time to the second, in the page's time zone."""
    return _time(moment, date_format(timezone.localtime(moment), "Y-m-d H:i:s") if moment else "", "exact")


@register.filter
def took(start: datetime | None, end: datetime | None) -> str:
    """The time between two moments; a dash while one is missing."""
    span: timedelta | None = end - start if start and end else None
    return formats.duration_text(span)


@register.simple_tag
def sprite(name: str) -> str:
    """The address of one icon in the sprite."""
    return f"{staticfiles_storage.url('vendor/icons/sprite.svg')}#{name}"


@register.simple_tag
def icon(name: str, size: int = 16, label: str = "") -> SafeString:
    """An icon of the sprite; decoration unless `label` says what it means."""
    if label:
        return format_html(
            '<svg class="icon" width="{0}" height="{0}" role="img" aria-label="{1}"><use href="{2}"></use></svg>',
            size,
            label,
            sprite(name),
        )
    return format_html(
        '<svg class="icon" width="{0}" height="{0}" aria-hidden="true"><use href="{1}"></use></svg>', size, sprite(name)
    )


@register.simple_tag
def state(value: str, field: str = "state") -> SafeString:
    """A state as shape, colour and word. Live rows patch it by its `data-f`."""
    face = formats.face(value)
    return format_html(
        '<span class="state" data-tone="{}" data-f="{}" data-value="{}">{}<span class="state-word">{}</span></span>',
        face.tone,
        field,
        value,
        icon(face.shape, 12),
        face.label,
    )


@register.inclusion_tag("components/_meter.html")
def meter(fraction: float | None, text: str = "", field: str = "", label: str = "") -> dict[str, Any]:
    """A thin bar with its value in words beside it; `field` makes it live (`data-f`)."""
    share = min(max(fraction or 0, 0), 1)
    return {
        "width": f"{share * 100:.1f}%",
        "text": text or formats.percent_text(fraction),
        "field": field,
        "label": label,
        "level": "high" if share >= 0.9 else "",
    }


@register.inclusion_tag("components/_nav_link.html", takes_context=True)
def nav_link(context: dict[str, Any], name: str, label: str, icon_name: str) -> dict[str, Any]:
    """An entry of the main navigation; shown only when its page exists."""
    match = getattr(context.get("request"), "resolver_match", None)
    try:
        address = reverse(name)
    except NoReverseMatch:
        address = ""
    here = f"{match.namespace}:{match.url_name}" if match else ""
    room, page = name.split(":")
    current = here == name or (room != "accounts" and here.startswith(f"{room}:"))
    if room == "accounts" and page == "people":
        current = here.startswith(("accounts:people", "accounts:person", "accounts:quota"))
    return {"address": address, "label": label, "icon_name": icon_name, "current": current}


@register.simple_tag(takes_context=True)
def may(context: dict[str, Any], permission: str, target: Any = None, *, everywhere: bool = False) -> bool:
    """Whether the signed-in person has a permission on an object, else on anything: `{% may "guest.power" guest as ok %}`.

    `everywhere=True`: on everything, for what makes something that no grant can name yet.
    """
    user = context["request"].user
    return can(user, permission, target) if target is not None or everywhere else can_somewhere(user, permission)


@register.simple_tag
def role_name(slug: str) -> str:
    """A role as people read it; "–" for none."""
    if not slug:
        return formats.DASH
    if slug in ROLE_LABELS:
        return str(ROLE_LABELS[slug])
    return Role.objects.filter(slug=slug).values_list("name", flat=True).first() or slug


@register.simple_tag
def permission_text(name: Any) -> str:
    """A permission in words; "" for what is none."""
    return str(PERMISSIONS.get(str(name), ""))


def _target_attributes(target: Any) -> dict[str, Any]:
    """The kind, key and host by which an operation's POST names its target."""
    if target is None:
        return {"kind": "none", "key": "", "host": ""}
    kind = target._meta.model_name
    if kind == "host":
        return {"kind": kind, "key": target.pk, "host": target.pk}
    return {"kind": kind, "key": target.uuid, "host": target.host_id}


@register.inclusion_tag("components/_operation_button.html", takes_context=True)
def operation(context: dict[str, Any], name: str, target: Any = None, **options: Any) -> dict[str, Any]:
    """The button of an operation on a target; nothing for people who may not, disabled with its reason when it does
    not fit. Options: label, style ("secondary"), size ("sm"), icon, icon_only, menu_item, params (dict), confirm,
    confirm_name, dialog (id), when ("running paused": states in which it is enabled), why_not."""
    declared = OPERATIONS[name]
    if not can(context["request"].user, declared.permission, target):
        return {"hidden": True}
    extra = declared.extra
    params = options.get("params") or {}
    return {
        **_target_attributes(target),
        "name": name,
        "label": options.get("label") or declared.label,
        "icon_name": options.get("icon", declared.icon),
        "icon_only": options.get("icon_only", False),
        "menu_item": options.get("menu_item", False),
        "style": options.get("style", "secondary"),
        "size": options.get("size", ""),
        "params": params if isinstance(params, str) else json.dumps(params),
        "confirm": options.get("confirm", declared.confirm),
        "confirm_name": options.get("confirm_name", ""),
        "dialog": options.get("dialog", ""),
        "quiet": declared.quiet,
        "danger": options.get("style") == "danger" or bool(extra.get("danger")),
        "when": options.get("when", extra.get("when", "")),
        "why_not": options.get("why_not", extra.get("why_not", "")),
        "reason": declared.refuse(target, None) or "",
    }
