"""Finding any object by name, UUID or address, of what a person may see: for the box in the top bar."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from dashboard.accounts.access import can_somewhere, guests_where, on_hosts_where
from dashboard.accounts.models import User
from dashboard.inventory.models import Guest, Host, Network, Pool, Volume
from dashboard.inventory.rows import shown_state
from dashboard.jobs.queries import visible_jobs
from dashboard.jobs.rows import label_of
from dashboard.live.formats import ago_text, face

Item = dict[str, str]
LONGEST = 100
MOST = 6
PAGES: tuple[tuple[Promise, str, str, str], ...] = (
    (pgettext_lazy("page", "Start"), "start:page", "house", ""),
    (gettext_lazy("Virtual machines"), "guests:list", "monitor", "guest.view"),
    (gettext_lazy("Create virtual machine"), "guests:create", "plus", "guest.create"),
    (gettext_lazy("Kept searches"), "guests:searches", "bookmark", "guest.view"),
    (gettext_lazy("Hosts"), "hosts:list", "server", "host.view"),
    (gettext_lazy("Add a host"), "hosts:add", "plus", "host.manage"),
    (gettext_lazy("Storage"), "storage:list", "database", "storage.view"),
    (gettext_lazy("Networks"), "networks:list", "network", "network.view"),
    (gettext_lazy("Jobs"), "jobs:list", "list-checks", ""),
    (gettext_lazy("People"), "accounts:people", "users", "people.manage"),
    (gettext_lazy("Groups"), "accounts:people-groups", "users", "people.manage"),
    (gettext_lazy("Roles"), "accounts:people-roles", "key-round", "people.manage"),
    (gettext_lazy("Audit log"), "audit:list", "scroll-text", "audit.view"),
    (gettext_lazy("Preferences"), "accounts:preferences", "settings", ""),
    (gettext_lazy("Signing in"), "accounts:security", "lock", ""),
    (gettext_lazy("API tokens"), "accounts:tokens", "key-round", ""),
)


def find(user: User, text: str) -> list[dict[str, Any]]:
    """Groups of items, each with `label`, `sub`, `href`, `icon`; by one query a kind of object."""
    words = text.strip()[:LONGEST].replace("\0", "")
    if not words:
        return []
    groups = [
        (_("Virtual machines"), _guests(user, words)),
        (_("Hosts"), _hosts(user, words)),
        (_("Storage"), [*_pools(user, words), *_volumes(user, words)]),
        (_("Networks"), _networks(user, words)),
        (_("Jobs"), _jobs(user, words)),
        (_("Pages"), _pages(user, words)),
    ]
    return [{"name": name, "items": items} for name, items in groups if items]


def _item(label: str, sub: str, href: str, icon: str) -> Item:
    return {"label": label, "sub": sub, "href": href, "icon": icon}


def _by_uuid(text: str) -> Q:
    """By the beginning of a UUID; nothing for what is none."""
    return Q(uuid__istartswith=text) if re.fullmatch(r"[0-9a-fA-F-]{4,36}", text) else Q(pk__in=[])


def _best(found: QuerySet[Any], text: str) -> list[Any]:
    """The first few: those with exactly this name, those that begin with it, the others."""
    whens = [When(name__iexact=text, then=Value(0)), When(name__istartswith=text, then=Value(1))]
    rank = Case(*whens, default=Value(2), output_field=IntegerField())
    return list(found.annotate(rank=rank).order_by("rank", "name", "pk")[:MOST])


def _guests(user: User, text: str) -> list[Item]:
    named = Q(name__icontains=text) | Q(title__icontains=text) | _by_uuid(text)
    if re.fullmatch(r"[0-9a-fA-F.:]{3,45}", text):
        named |= Q(addresses__icontains=text)
    seen = Guest.objects.filter(guests_where(user), named).select_related("host").defer("xml", "facts", "description")
    return [
        _item(
            guest.name,
            " · ".join(filter(None, [str(face(shown_state(guest)).label), guest.title, guest.host.name])),
            f"{reverse('guests:detail', args=[guest.uuid])}?host={guest.host_id}",
            "monitor",
        )
        for guest in _best(seen, text)
    ]


def _hosts(user: User, text: str) -> list[Item]:
    named = Q(name__icontains=text) | Q(address__icontains=text) | Q(hostname__icontains=text)
    seen = Host.objects.filter(on_hosts_where(user, "host.view", "pk"), named).only("name", "address", "status")
    return [
        _item(
            host.name,
            " · ".join(filter(None, [str(face(host.status).label), host.address])),
            reverse("hosts:detail", args=[host.pk]),
            "server",
        )
        for host in _best(seen, text)
    ]


def _pools(user: User, text: str) -> list[Item]:
    named = Q(name__icontains=text) | Q(path__icontains=text) | _by_uuid(text)
    seen = Pool.objects.filter(on_hosts_where(user, "storage.view"), named).select_related("host")
    return [
        _item(pool.name, f"{pool.host.name} · {pool.path}", reverse("storage:pool", args=[pool.pk]), "database")
        for pool in _best(seen, text)
    ]


def _volumes(user: User, text: str) -> list[Item]:
    seen = Volume.objects.filter(on_hosts_where(user, "storage.view", "pool__host_id"), name__icontains=text)
    return [
        _item(
            volume.name,
            f"{volume.pool.host.name} · {volume.pool.name}",
            reverse("storage:pool", args=[volume.pool_id]),
            "hard-drive",
        )
        for volume in _best(seen.select_related("pool__host"), text)
    ]


def _networks(user: User, text: str) -> list[Item]:
    named = Q(name__icontains=text) | Q(bridge__icontains=text) | _by_uuid(text)
    seen = Network.objects.filter(on_hosts_where(user, "network.view"), named).select_related("host")
    return [
        _item(network.name, " · ".join([network.host.name, *network.subnets]), reverse("networks:list"), "network")
        for network in _best(seen, text)
    ]


def _jobs(user: User, text: str) -> list[Item]:
    named = Q(object_name__icontains=text)
    if re.fullmatch(r"[0-9a-fA-F-]{8,36}", text):
        named |= Q(pk__istartswith=text) | Q(object_key__istartswith=text)
    return [
        _item(
            f"{label_of(job)} {job.object_name}".strip(),
            f"{face(job.state).label} · {ago_text(job.created_at)}",
            reverse("jobs:detail", args=[job.pk]),
            "list-checks",
        )
        for job in visible_jobs(user).filter(named)[:MOST]
    ]


def _pages(user: User, text: str) -> list[Item]:
    found = []
    for label, name, icon, permission in PAGES:
        if text.lower() in str(label).lower() and (not permission or can_somewhere(user, permission)):
            found.append(_item(str(label), "", reverse(name), icon))
    return found[:MOST]
