"""The host, tag or guest that a person writes down for a token of theirs; what they may not see is not there for them."""

from __future__ import annotations

from uuid import UUID

from django.apps import apps
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from dashboard.accounts.access import guests_where, on_hosts_where
from dashboard.accounts.models import Grant, User
from dashboard.accounts.places import exists

Where = Grant.Where


def key_of(person: User, place: str, text: str) -> str:
    """The key of the place that `person` wrote down; ValidationError says what is wrong with it."""
    text = text.strip()
    if place == Where.EVERYTHING:
        return ""
    if not text:
        raise ValidationError(_("Name the host, tag or virtual machine."))
    if place == Where.TAG:
        if not exists(place, text):
            raise ValidationError(_("A tag is one word of at most 50 characters."))
        return text.lower()
    found = _hosts(person, text) if place == Where.HOST else _guests(person, text)
    if not found:
        raise ValidationError(_("There is none with this name that you may see."))
    if len(found) > 1:
        raise ValidationError(_("Several are called so: give the UUID of one that is on one host only."))
    return found[0]


def _hosts(person: User, name: str) -> list[str]:
    hosts = apps.get_model("inventory", "Host")._base_manager.filter(on_hosts_where(person, "host.view", "pk"))
    return [str(pk) for pk in hosts.filter(name__iexact=name).values_list("pk", flat=True)]


def _guests(person: User, text: str) -> list[str]:
    guests = apps.get_model("inventory", "Guest")._base_manager.filter(guests_where(person, "guest.view"))
    try:
        named = guests.filter(uuid=UUID(text))
    except ValueError:
        named = guests.filter(name=text)
    return [f"{host}/{uuid}" for host, uuid in named.values_list("host_id", "uuid")]
