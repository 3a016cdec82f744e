"""The guests' reads: the list with its filters, order and pages, one guest by UUID, and what belongs to it."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Value, When
from django.http import QueryDict

from dashboard.accounts.access import can, guests_where
from dashboard.accounts.models import User
from dashboard.guests.words import FILTERS
from dashboard.inventory import metrics
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.models import Job

PAGE_SIZE = 50
SORTS: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "state": ("rank", "name"),
    "host": ("host__name", "name"),
    "vcpus": ("vcpus", "name"),
    "memory": ("memory_kib", "name"),
    "uptime": ("started_at", "name"),
}
"""Orders by the database: the key in the address → fields."""
LOADS = {"cpu": (1,), "used": (2,), "disk": (4, 5), "net": (6, 7)}
"""Orders by the newest figures: the key in the address → which numbers of a sample, added."""
RANKS = ("crashed", "paused", "running", "stopping", "suspended", "shutoff")


@dataclass(frozen=True)
class Filters:
    """What the address of the list says."""

    q: str = ""
    state: str = ""
    host: int | None = None
    tag: str = ""
    sort: str = "name"
    page: int = 1

    @classmethod
    def read(cls, query: QueryDict) -> Filters:
        """From an address that anybody may have typed: what makes no sense is left out."""
        host, page, sort = query.get("host", ""), query.get("page", ""), query.get("sort", "")
        state = query.get("state", "")
        return cls(
            q=query.get("q", "").strip()[:200],
            state=state if state in FILTERS else "",
            host=int(host) if host.isdecimal() and len(host) < 16 else None,
            tag=query.get("tag", "").strip()[:50],
            sort=sort if sort.removeprefix("-") in SORTS | LOADS else "name",
            page=max(1, int(page)) if page.isdecimal() and len(page) < 10 else 1,
        )

    def address(self, **changes: Any) -> str:
        """The query string with changes, without what is the default; a change of anything else goes to page 1."""
        values = {
            "q": self.q,
            "state": self.state,
            "host": self.host or "",
            "tag": self.tag,
            "sort": self.sort,
            "page": 1,
        }
        values |= changes
        default = {"sort": "name", "page": 1}
        kept = {key: value for key, value in values.items() if value not in ("", None) and value != default.get(key)}
        return "?" + urlencode(kept)

    @property
    def narrowed(self) -> bool:
        """Whether anything is filtered away."""
        return bool(self.q or self.state or self.host or self.tag)


@dataclass
class GuestPage:
    """One page of the list."""

    guests: list[Guest]
    figures: dict[tuple[int, str], list[Any]]
    busy: dict[tuple[int, str], Job]
    hosts: list[Host]
    states: Counter[str] = field(default_factory=Counter)
    """How many there are of each state, under the other filters."""
    total: int = 0
    pages: int = 1
    page: int = 1
    everything: int = 0
    """How many there are without any filter; only counted when the page is empty."""


def visible_to(user: User) -> QuerySet[Guest]:
    """The guests that a person may see."""
    return Guest.objects.filter(guests_where(user))


def page_of(user: User, filters: Filters) -> GuestPage:
    """One page, by five queries whatever the number of guests: hosts, counts, rows, jobs (and keys when load orders)."""
    hosts = list(Host.objects.only("id", "name", "status", "last_seen", "transport"))
    down = [host.pk for host in hosts if host.status != Host.Status.LIVE]
    wanted = _matching(visible_to(user), filters, hosts)
    states = _count(wanted, down)
    narrowed = _in_state(wanted, filters.state, down)
    total = states[filters.state] if filters.state else states.total()
    pages = max(1, -(-total // PAGE_SIZE))
    page = min(filters.page, pages)
    guests = _rows(narrowed, filters.sort, (page - 1) * PAGE_SIZE) if total else []
    by_id = {host.pk: host for host in hosts}
    for guest in guests:
        guest.host = by_id[guest.host_id]
    pairs = [(guest.host_id, str(guest.uuid)) for guest in guests]
    return GuestPage(
        guests=guests,
        figures=metrics.latest(pair for pair, guest in zip(pairs, guests, strict=True) if _has_figures(guest)),
        busy=_busy(pairs),
        hosts=hosts,
        states=states,
        total=total,
        pages=pages,
        page=page,
        everything=total or (visible_to(user).count() if filters.narrowed else 0),
    )


def _has_figures(guest: Guest) -> bool:
    return guest.state != "shutoff" and guest.host.status == Host.Status.LIVE


def _matching(guests: QuerySet[Guest], filters: Filters, hosts: Iterable[Host]) -> QuerySet[Guest]:
    """Every word of the search in a name, title, tag, address, host name or at the start of the UUID."""
    for word in filters.q.split()[:8]:
        anywhere = Q(name__icontains=word) | Q(title__icontains=word) | Q(tags_text__icontains=word)
        anywhere |= Q(addresses__icontains=word)
        named = [host.pk for host in hosts if word.lower() in host.name.lower()]
        if named:
            anywhere |= Q(host_id__in=named)
        if re.fullmatch(r"[0-9a-fA-F-]{4,36}", word):
            anywhere |= Q(uuid__istartswith=word)
        guests = guests.filter(anywhere)
    if filters.host is not None:
        guests = guests.filter(host_id=filters.host)
    if filters.tag:
        guests = guests.filter(tags_text__contains=f" {filters.tag} ")
    return guests


def _count(guests: QuerySet[Guest], down: list[int]) -> Counter[str]:
    states: Counter[str] = Counter()
    groups = guests.order_by().values_list("host_id", "state", "saved").annotate(number=Count("pk"))
    for host_id, state, saved, number in groups:
        states[_filter_of(state, saved=saved, down=host_id in down)] += number
    return states


def _filter_of(state: str, *, saved: bool, down: bool) -> str:
    if down:
        return "unknown"
    if state == "shutoff" and saved:
        return "saved"
    if state == "stopping":
        return "running"
    return state if state in FILTERS else "unknown"


def _in_state(guests: QuerySet[Guest], state: str, down: list[int]) -> QuerySet[Guest]:
    if not state:
        return guests
    if state == "unknown":
        return guests.filter(Q(host_id__in=down) | ~Q(state__in=RANKS))
    guests = guests.exclude(host_id__in=down) if down else guests
    if state == "saved":
        return guests.filter(state="shutoff", saved=True)
    if state == "shutoff":
        return guests.filter(state="shutoff", saved=False)
    return guests.filter(state__in=("running", "stopping") if state == "running" else (state,))


def _rows(guests: QuerySet[Guest], sort: str, start: int) -> list[Guest]:
    key, down = sort.removeprefix("-"), sort.startswith("-")
    rows = guests.defer("xml", "description")
    if key in LOADS:
        keys = _by_load(guests, LOADS[key], most_first=not down)[start : start + PAGE_SIZE]
        found = rows.in_bulk(keys)
        return [found[pk] for pk in keys if pk in found]
    if key == "state":
        cases = [When(state=state, then=Value(rank)) for rank, state in enumerate(RANKS)]
        rows = rows.annotate(rank=Case(*cases, default=Value(len(RANKS)), output_field=IntegerField()))
    if key == "uptime":  # the longest first; those that are off last, in either direction
        since = F("started_at")
        rows = rows.order_by(since.desc(nulls_last=True) if down else since.asc(nulls_last=True), "name", "pk")
        return list(rows[start : start + PAGE_SIZE])
    first, *rest = SORTS[key]
    return list(rows.order_by(f"-{first}" if down else first, *rest, "pk")[start : start + PAGE_SIZE])


def _by_load(guests: QuerySet[Guest], numbers: tuple[int, ...], *, most_first: bool) -> list[int]:
    """Keys of all matching guests by their newest figures, those without figures last."""
    keys = list(guests.order_by("name", "pk").values_list("pk", "host_id", "uuid", "state"))
    samples = metrics.latest((host_id, str(uuid_)) for _pk, host_id, uuid_, state in keys if state != "shutoff")

    def load(row: tuple[int, int, uuid.UUID, str]) -> float:
        sample = samples.get((row[1], str(row[2])))
        value = sum(sample[number] or 0 for number in numbers) if sample else -1
        return -value if most_first else (value if value >= 0 else float("inf"))

    return [row[0] for row in sorted(keys, key=load)]


def _busy(pairs: list[tuple[int, str]]) -> dict[tuple[int, str], Job]:
    """The active job of each of these guests."""
    if not pairs:
        return {}
    jobs = Job.objects.filter(state__in=Job.ACTIVE, object_kind="guest", object_key__in=[key for _host, key in pairs])
    return {(job.host_id or 0, job.object_key): job for job in jobs.order_by("created_at")}


def find(user: User, identity: uuid.UUID, host: str = "") -> list[Guest]:
    """The guests of this UUID that a person may see (several when hosts share one), on one host if it is named."""
    guests = visible_to(user).filter(uuid=identity).select_related("host")
    if host:
        guests = guests.filter(host_id=int(host)) if host.isdecimal() and len(host) < 16 else guests.none()
    return [guest for guest in guests.order_by("host__name") if can(user, "guest.view", guest)]


def jobs_of(user: User, guest: Guest, limit: int = 50) -> list[Job]:
    """The guest's newest jobs that a person may see: all with job.view, else their own. The one that made it is one."""
    own = Q(object_kind="guest", object_key=str(guest.uuid))
    made = Q(operation="guest.create", plan__uuid=str(guest.uuid))
    jobs = Job.objects.filter(own | made, host_id=guest.host_id)
    if not can(user, "job.view", guest):
        jobs = jobs.filter(created_by=user)
    return list(jobs.select_related("created_by")[:limit])


def tags_in_use(user: User) -> list[str]:
    """Every tag of the guests that a person may see, for the filter's suggestions."""
    texts = visible_to(user).exclude(tags_text="").order_by().values_list("tags_text", flat=True).distinct()
    return sorted({tag for text in texts for tag in text.split()}, key=str.lower)
