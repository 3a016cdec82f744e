"""The guests' reads: the list with its filters, order and pages, one guest by UUID, and what belongs to it."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Value, When
from django.http import QueryDict

from dashboard.accounts.access import can, guests_where, on_hosts_where
from dashboard.accounts.models import User
from dashboard.guests import search
from dashboard.guests.search_fields import STATES
from dashboard.guests.words import FILTERS
from dashboard.inventory import metrics
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.models import Job, Ownership

PAGE_SIZE = 50
SORTS: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "state": ("rank", "name"),
    "host": ("host__name", "name"),
    "vcpus": ("vcpus", "name"),
    "memory": ("memory_kib", "name"),
    "uptime": ("started_at", "name"),
    "title": ("title", "name"),
}
"""Orders by the database: the key in the address → fields."""
LOADS = {"cpu": (1,), "used": (2,), "disk": (4, 5), "net": (6, 7)}
"""Orders by the newest figures: the key in the address → which numbers of a sample, added."""
VIEWS = ("table", "screens")
RANKS = ("crashed", "paused", "running", "stopping", "suspended", "shutoff")


@dataclass(frozen=True)
class Filters:
    """What the address of the list says: a search in the query language, an order, a page."""

    q: str = ""
    sort: str = "name"
    page: int = 1
    view: str = ""
    """"screens" or "table"; "": as the person likes it."""

    @classmethod
    def read(cls, query: QueryDict, user: User | None = None) -> Filters:
        """From an address that anybody may have typed: what makes no sense is left out, a wrong search is kept to be told.

        `state`, `tag` and `host` (an id) of older addresses and links become part of the search, the one visible truth.
        """
        page, sort, view = query.get("page", ""), query.get("sort", ""), query.get("view", "")
        q = query.get("q", "").strip()
        for key, value in _links_say(query, user):
            q = cls(q=q).saying(key, value)
        return cls(
            q=q,
            sort=sort if sort.removeprefix("-") in SORTS | LOADS else "name",
            page=max(1, int(page)) if page.isdecimal() and len(page) < 10 else 1,
            view=view if view in VIEWS else "",
        )

    @cached_property
    def _read(self) -> tuple[search.Query, search.SearchError | None]:
        try:
            return search.parse(self.q), None
        except search.SearchError as error:
            return search.parse(""), error

    @property
    def query(self) -> search.Query:
        """What `q` asks for; everything while it cannot be read."""
        return self._read[0]

    @property
    def error(self) -> search.SearchError | None:
        """What is wrong with `q`."""
        return self._read[1]

    @property
    def mistake(self) -> tuple[str, str, str]:
        """`q` in three parts, the second of which is wrong."""
        start, end = (self.error.start, self.error.end) if self.error else (0, 0)
        return self.q[:start], self.q[start:end], self.q[end:]

    @property
    def state(self) -> str:
        """The one state that the search asks for; "" for none or several."""
        return self.query.only("state")

    def saying(self, key: str, value: str) -> str:
        """`q` with this value of a key in place of what it says of it now."""
        return f"{self.q} {search.term_text(key, value)}".strip() if self.error else self.query.saying(key, value)

    def address(self, **changes: Any) -> str:
        """The query string with changes, without what is the default; a change of anything else goes to page 1."""
        values = {"q": self.q, "sort": self.sort, "view": self.view, "page": 1} | changes
        default = {"sort": "name", "page": 1}
        kept = {key: value for key, value in values.items() if value not in ("", None) and value != default.get(key)}
        return "?" + urlencode(kept)

    @property
    def narrowed(self) -> bool:
        """Whether anything is filtered away."""
        return bool(self.q)


def _links_say(query: QueryDict, user: User | None) -> Iterator[tuple[str, str]]:
    """The conditions that an address gives beside its search."""
    state, tag, host = query.get("state", ""), query.get("tag", "").strip()[:50], query.get("host", "")
    if state in FILTERS:
        yield "state", state
    if tag and not re.search(r"\s", tag):
        yield "tag", tag
    if host.isascii() and host.isdecimal() and len(host) < 16 and user is not None:
        for name in hosts_of(user).filter(pk=int(host)).values_list("name", flat=True):
            yield "host", name


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


def hosts_of(user: User) -> QuerySet[Host]:
    """The hosts that a person may see, and those of guests that they may see: whose names the list tells."""
    where = on_hosts_where(user, "host.view", "pk")
    return Host.objects.filter(where | Q(pk__in=visible_to(user).order_by().values("host_id")) if where else Q())


def page_of(user: User, filters: Filters) -> GuestPage:
    """One page, by five queries whatever the number of guests: hosts, counts, rows, jobs (and keys when load orders)."""
    hosts = list(hosts_of(user).only("id", "name", "status", "last_seen", "transport"))
    if filters.error:
        return GuestPage([], {}, {}, hosts)
    narrowed, states, total = _matching(user, filters, hosts)
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


def _matching(user: User, filters: Filters, hosts: Iterable[Host]) -> tuple[QuerySet[Guest], Counter[str], int]:
    """What fits the search, how many there are of each state whatever states it asks for, and how many fit."""
    down = [host.pk for host in hosts if host.status != Host.Status.LIVE]
    stateless = filters.query.without("state")
    states = _count(visible_to(user).filter(stateless.q(user)), down)
    narrowed = visible_to(user).filter(filters.query.q(user))
    if len(stateless.terms) == len(filters.query.terms):
        return narrowed, states, states.total()
    single = STATES.get(filters.state.lower())
    return narrowed, states, states[single] if single else narrowed.count()


def _has_figures(guest: Guest) -> bool:
    return guest.state != "shutoff" and guest.host.status == Host.Status.LIVE


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


def owners_of(pairs: Iterable[tuple[int, str]]) -> dict[tuple[int, str], str]:
    """Who made these guests, by name."""
    keys = [key for _host, key in pairs]
    owned = Ownership.objects.filter(uuid__in=keys).values_list("host_id", "uuid", "user__username") if keys else []
    return {(host_id, str(key)): name for host_id, key, name in owned}


def tags_in_use(user: User) -> list[str]:
    """Every tag of the guests that a person may see, for the filter's suggestions."""
    texts = visible_to(user).exclude(tags_text="").order_by().values_list("tags_text", flat=True).distinct()
    return sorted({tag for text in texts for tag in text.split()}, key=str.lower)
