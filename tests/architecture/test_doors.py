"""The ways in that are no pages: routes of the API and WebSockets. None is open to a stranger, each asks for its permission."""

from __future__ import annotations

import ast
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from ninja.operation import Operation as Route
from pytest_django import Settings

from dashboard.accounts.models import User
from dashboard.accounts.permissions import PERMISSIONS, ROLES
from dashboard.api.urls import api
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS
from dashboard.live.routing import websocket_urlpatterns

ROOT = Path(__file__).resolve().parents[2]
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
NOBODY = uuid.UUID(int=7)
OWN_JOBS = {"list_jobs", "get_job", "cancel_job", "retry_job"}
"""Open to every signed-in person, narrowed by `visible_jobs` to their own jobs; nothing else may be."""
OWN = {"get_me", "list_operations"}
"""What every signed-in person is told: who they are, and what can be done at all."""
STREAM = "listen"
"""The events: open to every signed-in person, each message by its own right. Held by tests/integration/api."""
READS = {
    "list_hosts": "host.view", "get_host": "host.view", "list_guests": "guest.view", "get_guest": "guest.view",
    "get_guest_stats": "guest.view", "get_guest_history": "guest.view",
    "list_pools": "storage.view", "get_pool": "storage.view", "list_volumes": "storage.view",
    "list_networks": "network.view", "get_network": "network.view",
}  # fmt: skip


def routes() -> Iterator[tuple[str, str, Route]]:
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            for route in view.operations:
                for method in route.methods:
                    yield method, f"{prefix}{path}", route


ALL = sorted(routes(), key=lambda one: (one[1], one[0]))
NAMES = [f"{method} {path}" for method, path, _route in ALL]


def address(path: str) -> str:
    known = {"uuid": str(NOBODY), "uuidstr": str(NOBODY), "int": "1"}
    filled = re.sub(r"\{(\w+):\w+\}", lambda match: known[match[1]], path)
    return f"/api/v1/{filled.lstrip('/')}"


@pytest.mark.parametrize(("method", "path", "route"), ALL, ids=NAMES)
def test_every_route_of_the_api_is_closed_to_strangers(method: str, path: str, route: Route) -> None:
    answer = getattr(Client(), method.lower())(address(path), HTTP_HOST="127.0.0.1")
    assert answer.status_code == 401
    assert json.loads(answer.content)["status"] == 401


def test_every_route_of_the_api_is_a_read_an_operation_or_about_ones_jobs() -> None:
    """A new route is added here on purpose, by somebody who thought about who may use it."""
    operations = {name.replace(".", "_") for name in OPERATIONS}
    operations |= {f"{name.replace('.', '_')}_many" for name, declared in OPERATIONS.items() if declared.many}
    assert {route.view_func.__name__ for _method, _path, route in ALL} == set(READS) | OWN | {
        STREAM
    } | OWN_JOBS | operations
    for method, path, route in ALL:
        changes = route.view_func.__name__ in operations | {"cancel_job", "retry_job"}
        assert (method == "POST") == changes, f"{method} {path}"
    assert set(READS.values()) <= set(PERMISSIONS)


@pytest.fixture
def nobody(db: None, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Somebody who may sign in and nothing else, on a kvmweb with one host and one guest."""
    settings.ALLOWED_HOSTS = ["testserver"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    monkeypatch.setitem(ROLES, "nothing", frozenset())
    host = Host.objects.create(pk=1, name="alpha", transport="test", status="live")
    Guest.objects.create(host=host, uuid=NOBODY, name="web1", state="shutoff")
    somebody = User.objects.create_user("somebody", role="administrator")
    Job.objects.create(pk=NOBODY, operation="guest.start", host=host, created_by=somebody, state="failed")
    client = Client()
    client.force_login(User.objects.create_user("nemo", role="nothing"), backend=BACKEND)
    return client


ANSWERED = [one for one in ALL if one[2].view_func.__name__ != STREAM]


@pytest.mark.parametrize(("method", "path", "route"), ANSWERED, ids=[f"{one[0]} {one[1]}" for one in ANSWERED])
def test_who_has_no_permission_gets_nothing_from_the_api(nobody: Client, method: str, path: str, route: Route) -> None:
    before = Job.objects.count()
    send = getattr(nobody, method.lower())
    answer = send(address(path), **({} if method == "GET" else {"data": "{}", "content_type": "application/json"}))
    if route.view_func.__name__ == "list_jobs":
        assert json.loads(answer.content)["items"] == [], "only one's own"
    elif route.view_func.__name__ in OWN:
        assert b"web1" not in answer.content and b"alpha" not in answer.content
    else:
        # 422: what was sent is looked at first; it says nothing about what is there.
        assert answer.status_code in (403, 404, 422), answer.content
        assert b"web1" not in answer.content and b"alpha" not in answer.content
    assert Job.objects.count() == before


CHANGES = [one for one in ALL if one[0] != "GET"]


@pytest.mark.parametrize(("method", "path", "route"), CHANGES, ids=[path for _method, path, _route in CHANGES])
def test_every_change_by_the_api_wants_a_csrf_token(nobody: Client, method: str, path: str, route: Route) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = nobody.cookies
    answer = strict.post(address(path), data="{}", content_type="application/json")
    assert answer.status_code == 403
    assert not Job.objects.exclude(pk=NOBODY).exists()


def asgi_sockets() -> dict[str, object]:
    """Every WebSocket of ours by its address: those of the web process, and the serial lines' application."""
    from dashboard.consoles import serial
    from dashboard.consoles.tickets import PATHS

    found = {f"/{pattern.pattern}": pattern.callback for pattern in websocket_urlpatterns}
    return found | {PATHS["serial"]: serial.application}


@pytest.mark.parametrize("path", ["/live/", "/console/serial"])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"origin", b"null")],
        [(b"origin", b"http://evil.example")],
        [(b"origin", b"OWN"), (b"origin", b"http://evil.example")],
        [(b"origin", b"OWN.evil.example")],
    ],
    ids=["no origin", "null", "another site", "two origins", "a longer name"],
)
def test_no_websocket_opens_for_another_site(path: str, headers: list[tuple[bytes, bytes]], settings: Settings) -> None:
    own = settings.PUBLIC_URL.encode()
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": path,
        "headers": [(name, value.replace(b"OWN", own)) for name, value in headers],
        "subprotocols": [],
    }
    async_to_sync(asgi_sockets()[path])(scope, receive, send)  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["websocket.close"], "refused before it is accepted"


def test_these_are_all_websockets_there_are() -> None:
    """The gateway's own (/console/vnc) is held by tests/integration/consoles."""
    assert set(asgi_sockets()) == {"/live/", "/console/serial"}
    nginx = (ROOT / "deploy" / "nginx-site.conf.in").read_text(encoding="utf-8")
    assert set(re.findall(r"location = (/\S+)", nginx)) == {"/live/", "/console/vnc", "/console/serial"}


def test_the_web_process_loads_no_libvirt_call_into_a_view() -> None:
    """Views, queries and the API read the mirror; what talks to hosts runs in the worker, monitor and consoles."""
    for path in sorted((ROOT / "dashboard").rglob("*.py")):
        if path.name not in (
            "views.py",
            "create_views.py",
            "queries.py",
            "rows.py",
            "reads.py",
            "changes.py",
            "detail.py",
        ):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            assert not [
                name for name in names if name.split(".")[0] == "libvirt" or name.startswith("dashboard.virt")
            ], path
