"""Whatever changes something leaves a trace: every view that takes more than GET submits a job or writes an audit entry."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.urls import URLPattern

from dashboard.accounts.events import EVENTS
from dashboard.jobs.operation import OPERATIONS
from tests.architecture.test_permissions import own_patterns

ROOT = Path(__file__).resolve().parents[2]
ENDS = {"dashboard.accounts.audit.record", "dashboard.accounts.audit.record_all"}
"""Whoever calls one of these, by however many steps, leaves a trace. `service.submit` does, by way of `news.note`."""
NOTHING_CHANGES = {
    "dashboard.guests.create_views.check": "looks at what was typed",
    "dashboard.guests.many_views.offers": "counts what is selected",
    "dashboard.guests.many_views.question": "the dialog before an operation on many",
    "dashboard.accounts.security_views.seen": "a sign of life, so that nobody at work is signed out",
    "dashboard.consoles.views.ticket": "the entry is written when the ticket is redeemed: tests/integration/consoles",
    "dashboard.accounts.views.preferences": "one's own language and theme",
}
OWN_TASTE = re.compile(r"dashboard\.guests\.(list_views|taste_views|search_views)\.\w+$")
"""How somebody likes to see the list: columns, saved searches."""


@cache
def modules() -> dict[str, ast.Module]:
    found = {}
    for path in (ROOT / "dashboard").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(tree: ast.AST) -> dict[str, str]:
    """What names mean in a module or function, by its imports."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.update({(one.asname or one.name): f"{node.module}.{one.name}" for one in node.names})
    return names


@cache
def functions() -> dict[str, tuple[ast.AST, dict[str, str]]]:
    """Every function and method by its full name, with what the names in it mean."""
    found: dict[str, tuple[ast.AST, dict[str, str]]] = {}
    for module, tree in modules().items():
        names = imported(tree)
        own = {node.name: f"{module}.{node.name}" for node in tree.body if isinstance(node, DEFINED)}
        for node in tree.body:
            if isinstance(node, DEFINED):
                found[f"{module}.{node.name}"] = (node, {**own, **names})
    return found


DEFINED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def mentions(name: str) -> Iterator[str]:
    """Full names of what a function mentions: what it calls, and what it hands to others to be called."""
    node, names = functions()[name]
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in names:
            yield names[part.id]
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id in names:
            yield f"{names[part.value.id]}.{part.attr}"


@cache
def leaves_a_trace(name: str, seen: frozenset[str] = frozenset()) -> bool:
    if name in ENDS:
        return True
    if name not in functions() or name in seen or len(seen) > 8:
        return False
    return any(leaves_a_trace(other, seen | {name}) for other in mentions(name))


def full_name(pattern: URLPattern) -> str:
    view = getattr(pattern.callback, "__wrapped__", pattern.callback)
    while hasattr(view, "__wrapped__"):
        view = view.__wrapped__
    return f"{view.__module__}.{view.__qualname__}"


def reads_only(name: str) -> bool:
    """Decorated so that only GET gets in, or never looking whether it is something else."""
    node, _names = functions()[name]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    text = ast.unparse(node)
    marks = {ast.unparse(mark) for mark in node.decorator_list}
    if marks & {"require_GET", "require_safe"}:
        return True
    return not re.search(r"POST|PUT|PATCH|DELETE|request\.body|request\.method", text)


OURS = sorted({name for _route, pattern in own_patterns() if (name := full_name(pattern)) in functions()})
CHANGING = [name for name in OURS if not reads_only(name)]


@pytest.mark.parametrize("view", CHANGING)
def test_every_view_that_changes_something_submits_a_job_or_writes_an_audit_entry(view: str) -> None:
    if view in NOTHING_CHANGES or OWN_TASTE.match(view):
        return
    assert leaves_a_trace(view), f"{view} writes no audit entry (dashboard.accounts.audit.record) and submits no job"


def test_the_exceptions_are_views_that_exist_and_leave_no_trace() -> None:
    for view in NOTHING_CHANGES:
        assert view in CHANGING and not leaves_a_trace(view), view


def test_this_test_would_notice_a_view_without_a_trace() -> None:
    assert leaves_a_trace("dashboard.hosts.views.host_add") and leaves_a_trace("dashboard.jobs.views.operate")
    assert not leaves_a_trace("dashboard.guests.create_views.create")
    assert len(CHANGING) > 15


def codes() -> set[str]:
    """Every code that the audit log is given as a text in the source."""
    found = set()
    for tree in modules().values():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = [one.value for one in node.keywords if one.arg == "action"]
            if called in ("note", "_note", "_record", "_own"):
                given += node.args
            for value in (part for one in given for part in ast.walk(one)):
                if isinstance(value, ast.Constant) and re.fullmatch(r"[a-z_]+\.[a-z_]+", str(value.value)):
                    found.add(str(value.value))
    return found


def test_every_code_of_the_audit_log_has_words_and_every_word_a_code() -> None:
    used = codes() | {"guest.owner"}  # a constant, so that it can be searched for
    assert sorted(used - EVENTS.keys() - OPERATIONS.keys()) == []
    assert sorted(EVENTS.keys() - used) == []
    assert not EVENTS.keys() & OPERATIONS.keys()
