"""Every way in is declared: pages, operations, websockets; and the matrix of who may do what is as written down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from dashboard.accounts.permissions import PERMISSIONS, ROLES
from dashboard.jobs.operation import OPERATIONS

OPEN_TO_THE_SIGNED_IN = {"signed-in", "public"}


def patterns(resolver: Any = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for item in (resolver or get_resolver()).url_patterns:
        route = prefix + str(item.pattern)
        if isinstance(item, URLResolver):
            yield from patterns(item, route)
        else:
            yield route, item


def own_patterns() -> list[tuple[str, URLPattern]]:
    return [(route, item) for route, item in patterns() if not route.startswith("api/v1/")]


@pytest.mark.parametrize(
    ("route", "pattern"), own_patterns(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_page_declares_the_permission_it_needs(route: str, pattern: URLPattern) -> None:
    permission = getattr(pattern.callback, "permission", None)
    assert permission is not None, f"{route}: mark its view with @need(…), @signed_in or @public"
    assert permission in OPEN_TO_THE_SIGNED_IN or permission in PERMISSIONS, f"{route}: {permission} is not declared"


def test_only_these_pages_are_open_to_strangers() -> None:
    public = {route for route, pattern in own_patterns() if getattr(pattern.callback, "permission", None) == "public"}
    sign_in = {"accounts/login/", "accounts/logout/", "accounts/inactive/", "accounts/password/reset/"}
    steps = {"accounts/2fa/authenticate/", "accounts/2fa/webauthn/login/", "password/<str:token>/"}
    assert public <= {"jsi18n/", "setup/<str:token>/", "healthz", *sign_in, *steps}


def test_every_operation_declares_a_permission_and_its_command_line() -> None:
    assert OPERATIONS
    for name, operation in OPERATIONS.items():
        assert operation.permission in PERMISSIONS, name
        assert operation.steps, f"{name} does nothing"
        assert callable(operation.virsh), name
        assert str(operation.label), name


def test_a_viewer_may_change_nothing() -> None:
    for name, operation in OPERATIONS.items():
        assert operation.permission not in ROLES["viewer"], name


def test_the_matrix_of_roles_and_operations_is_as_written_down() -> None:
    """Golden: a new operation is added here on purpose, by somebody who thought about who may do it."""
    matrix = {
        name: "".join(role[0] for role in ROLES if op.permission in ROLES[role]) for name, op in OPERATIONS.items()
    }
    assert matrix == GOLDEN


GOLDEN = {
    "guest.autostart": "oa",
    "guest.create": "oa",
    "guest.delete": "oa",
    "guest.description": "oa",
    "guest.discard_saved": "oa",
    "guest.force_off": "oa",
    "guest.nmi": "oa",
    "guest.pause": "oa",
    "guest.reboot": "oa",
    "guest.rename": "oa",
    "guest.reset": "oa",
    "guest.restore": "oa",
    "guest.resume": "oa",
    "guest.retag": "oa",
    "guest.save": "oa",
    "guest.send_keys": "oa",
    "guest.shutdown": "oa",
    "guest.start": "oa",
    "guest.tags": "oa",
    "guest.title": "oa",
    "host.check": "a",
    "host.make_default_network": "a",
    "host.make_default_pool": "a",
    "network.start": "a",
    "pool.refresh": "oa",
    "pool.start": "a",
}
