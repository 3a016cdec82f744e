"""A search's tree as a filter of the database: the same answer on SQLite and PostgreSQL, and in the page's script."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact
from django.utils import timezone

from dashboard.accounts.models import User
from dashboard.guests.search_fields import Node
from dashboard.inventory.models import Host
from dashboard.jobs.models import Job, Ownership
from dashboard.jobs.queries import visible_jobs

KNOWN_STATES = ("crashed", "paused", "running", "stopping", "suspended", "shutoff")
FAILED_WITHIN = timedelta(hours=24)
_LOOKUPS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "=": "exact"}
_BACKWARDS = {">": "lt", ">=": "lte", "<": "gt", "<=": "gte", "=": "exact"}
LIVE = Q(host__status=Host.Status.LIVE)


class AsciiLower(Func):
    """Lower case of A to Z only, whatever the database's language is."""

    function = "LOWER"
    output_field = TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """The C collation knows no other letters; SQLite's LOWER does not anyway."""
        return self.as_sql(compiler, connection, template='LOWER((%(expressions)s)::text COLLATE "C")', **context)


class Like(Func):
    """`text LIKE pattern`, with a backslash before what is meant literally."""

    template = "(%(expressions)s ESCAPE '\\')"
    arg_joiner = " LIKE "
    output_field = BooleanField()


class UuidText(Func):
    """A guest's UUID as people write it; SQLite keeps it without dashes."""

    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Put the dashes in."""
        text, params = compiler.compile(self.get_source_expressions()[0])
        parts = (f"SUBSTR({text}, {at}, {size})" for at, size in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12)))
        return "(" + " || '-' || ".join(parts) + ")", [*params] * 5

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """A cast."""
        text, params = compiler.compile(self.get_source_expressions()[0])
        return f"({text})::text", params


class AnyAddress(Func):
    """Whether one of a guest's addresses is LIKE one of the patterns: (addresses, pattern, pattern, …)."""

    output_field = BooleanField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Look through the JSON list."""
        return self._exists(compiler, "LOWER(json_extract(a.value, '$.ip')) AS ip FROM json_each({}) AS a LIMIT -1")

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Look through the JSON list."""
        lower = "LOWER((a.value->>'ip') COLLATE \"C\") AS ip"
        return self._exists(compiler, f"{lower} FROM jsonb_array_elements({{}}) AS a(value) OFFSET 0")

    def _exists(self, compiler: Any, listed: str) -> Any:
        """`listed` ends in a limit that is none: without it an address is taken out anew for each pattern."""
        (column, first), *patterns = (compiler.compile(one) for one in self.get_source_expressions())
        # Names of columns and marks for parameters only: nothing that anybody typed.
        fits = " OR ".join(f"b.ip LIKE {pattern} ESCAPE '\\'" for pattern, _params in patterns)
        params = [one for _pattern, some in patterns for one in some]
        return f"EXISTS(SELECT 1 FROM (SELECT {listed.format(column)}) AS b WHERE {fits})", [*first, *params]  # noqa: S608


class DisplayKind(Func):
    """The kind of a guest's first VNC or SPICE display from its facts, "" without one: as `guest_row` says it."""

    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Look through the JSON list."""
        facts, params = compiler.compile(self.get_source_expressions()[0])
        kind = "json_extract(a.value, '$.kind')"
        listed = f"json_each({facts}, '$.graphics') AS a WHERE {kind} IN ('vnc', 'spice') ORDER BY a.key LIMIT 1"
        return f"COALESCE((SELECT {kind} FROM {listed}), '')", params  # noqa: S608 - no text of anybody's

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Look through the JSON list."""
        facts, params = compiler.compile(self.get_source_expressions()[0])
        graphics = f"jsonb_path_query_array({facts}, '$.graphics[*]')"
        listed = (
            f"jsonb_array_elements({graphics}) WITH ORDINALITY AS a(value, n)"
            " WHERE a.value->>'kind' IN ('vnc', 'spice') ORDER BY a.n LIMIT 1"
        )
        return f"COALESCE((SELECT a.value->>'kind' FROM {listed}), '')", params  # noqa: S608 - no text of anybody's


def filter_of(node: Node, user: User) -> Q:
    """The filter over guests for a tree."""
    if "all" in node:
        found = Q()
        for one in node["all"]:
            found &= filter_of(one, user)
        return found
    if "any" in node:
        return _any(list(_flat(node)), user)
    if "not" in node:
        return ~filter_of(node["not"], user)
    return _leaf(node, user)


def _flat(node: Node) -> Iterator[Node]:
    """The alternatives of an "any", those within alternatives too."""
    for one in node.get("any", (node,)):
        yield from _flat(one) if "any" in one else (one,)


def _any(nodes: list[Node], user: User) -> Q:
    """One of them must fit. What looks through a list of its own does that once, however many patterns there are."""
    found = Q(pk__in=[])
    listed: dict[str, list[Any]] = {"ip": [], "owner": []}
    for node in nodes:
        if node.get("f") in listed and "like" in node:
            listed[node["f"]].append(Value(pattern_of(node["like"])))
        else:
            found |= filter_of(node, user)
    for field, patterns in listed.items():
        if patterns:
            found |= _in_list(field, patterns)
    return found


def _in_list(field: str, patterns: list[Any]) -> Q:
    """One of a guest's addresses, or its owner's name, is like one of the patterns."""
    if field == "ip":
        return Q(AnyAddress(F("addresses"), *patterns))
    fits = Q()
    for pattern in patterns:
        fits |= Q(Like(AsciiLower(F("user__username")), pattern))
    return Q(Exists(_ownership().filter(fits)))


def _leaf(node: Node, user: User) -> Q:
    field = node["f"]
    if "cmp" in node:
        return _compared(field, node["cmp"])
    if "like" in node:
        return _alike(field, node["like"])
    return _word(field, node["is"], user)


def pattern_of(parts: list[str]) -> str:
    """The parts between stars as a pattern for LIKE."""
    return "%".join(part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for part in parts)


def _alike(field: str, parts: list[str]) -> Q:
    pattern = Value(pattern_of(parts))
    if field == "tag":
        return Q(Like(AsciiLower(F("tags_text")), Value(_tag_pattern(parts))))
    if field in ("ip", "owner"):
        return _in_list(field, [pattern])
    if field == "uuid":
        return Q(Like(UuidText(F("uuid")), pattern))
    return Q(Like(AsciiLower(_COLUMNS[field]), pattern))


_COLUMNS: dict[str, Any] = {
    "name": F("name"),
    "title": F("title"),
    "host": F("host__name"),
    "os": Coalesce(KT("facts__os"), Value(""), output_field=TextField()),
}


def _tag_pattern(parts: list[str]) -> str:
    """In " web db " each tag stands between spaces; a star at an end leaves that one's open. `tag:*`: any tag at all."""
    inside = pattern_of([part for part in parts if part])
    if not inside:
        return "% %"
    return f"%{' ' if parts[0] else ''}{inside}{' ' if parts[-1] else ''}%"


def _ownership() -> QuerySet[Ownership]:
    return Ownership.objects.filter(host_id=OuterRef("host_id"), uuid=OuterRef("uuid"))


def _compared(field: str, bounds: list[list[Any]]) -> Q:
    found = Q()
    for operator, number in bounds:
        if field == "uptime":
            since = timezone.now() - timedelta(seconds=number)
            found &= Q(**{f"started_at__{_BACKWARDS[operator]}": since})
        else:
            column = {"mem": "memory_kib", "vcpus": "vcpus"}[field]
            found &= Q(**{f"{column}__{_LOOKUPS[operator]}": number})
    # Off or on a host that does not answer: nobody knows since when, so it is neither longer nor shorter.
    return Q(LIVE, ~Q(state="unknown"), Q(started_at__isnull=False), found) if field == "uptime" else found


def _word(field: str, word: Any, user: User) -> Q:
    if field == "state":
        return state_filter(word)
    if field == "autostart":
        return Q(autostart=word)
    if field == "agent":
        connected = Q(Exact(Coalesce(KT("facts__agent_connected"), Value(""), output_field=TextField()), Value("true")))
        return connected if word else ~connected
    if field == "display":
        return Q(Exact(DisplayKind(F("facts")), Value(word)))
    if field == "owner":
        return Q(Exists(_ownership().filter(user=user)))
    jobs = visible_jobs(user).filter(
        object_kind="guest", host_id=OuterRef("host_id"), object_key=UuidText(OuterRef("uuid"))
    )
    if word == "active":
        return Q(Exists(jobs.filter(state__in=Job.ACTIVE)))
    failed = jobs.filter(state__in=(Job.State.FAILED, Job.State.NEEDS_ATTENTION))
    return Q(Exists(failed.filter(created_at__gte=timezone.now() - FAILED_WITHIN)))


def state_filter(state: str) -> Q:
    """The guests that are shown in a state; whatever is on a host that does not answer is unknown."""
    if state == "unknown":
        return Q(~LIVE | ~Q(state__in=KNOWN_STATES))
    if state in ("saved", "shutoff"):
        return Q(LIVE, state="shutoff", saved=state == "saved")
    return Q(LIVE, state__in=("running", "stopping") if state == "running" else (state,))
