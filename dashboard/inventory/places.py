"""Hosts, tags and guests as places on which roles are granted: how they are found and what they are called."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.db.models import Q

from dashboard.accounts import places
from dashboard.inventory.models import Guest, Host


def _find_hosts(words: str, most: int) -> list[places.Choice]:
    hosts = Host.objects.filter(name__icontains=words).values_list("pk", "name")[:most]
    return [(str(pk), name) for pk, name in hosts]


def _name_hosts(keys: Collection[str]) -> dict[str, str]:
    numbers = [int(key) for key in keys if key.isdecimal() and len(key) < 16]
    return {str(pk): name for pk, name in Host.objects.filter(pk__in=numbers).values_list("pk", "name")}


def _find_tags(words: str, most: int) -> list[places.Choice]:
    texts = Guest.objects.filter(tags_text__icontains=words).exclude(tags_text="").order_by()
    tags = {tag.lower() for text in texts.values_list("tags_text", flat=True).distinct() for tag in text.split()}
    return [(tag, tag) for tag in sorted(tags) if words.lower() in tag][:most]


def _name_tags(keys: Collection[str]) -> dict[str, str]:
    return {key: key for key in keys}


def _find_guests(words: str, most: int) -> list[places.Choice]:
    guests = Guest.objects.order_by("name", "host__name").values_list("host_id", "uuid", "name", "host__name")
    for word in words.split()[:5]:
        guests = guests.filter(Q(name__icontains=word) | Q(title__icontains=word) | Q(host__name__icontains=word))
    return [(f"{host}/{key}", f"{name} ({on})") for host, key, name, on in guests[:most]]


def _name_guests(keys: Collection[str]) -> dict[str, str]:
    wanted = {}
    for key in keys:
        host, _, text = key.partition("/")
        try:
            wanted[int(host), uuid.UUID(text)] = key
        except ValueError:
            continue
    guests = Guest.objects.filter(uuid__in=[identity for _host, identity in wanted])
    rows = guests.order_by().values_list("host_id", "uuid", "name", "host__name")
    return {wanted[host, key]: f"{name} ({on})" for host, key, name, on in rows if (host, key) in wanted}


places.register("host", places.Kind(_find_hosts, _name_hosts))
places.register("tag", places.Kind(_find_tags, _name_tags))
places.register("guest", places.Kind(_find_guests, _name_guests))
