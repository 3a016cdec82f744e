"""Every address there is, visited: looking changes nothing, sending wants its own page's token, every answer bears the headers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import models
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings

from dashboard.accounts.models import ApiToken, Counted, Grant, Role, SignIn, User
from dashboard.inventory.models import Guest, Host, Network, Pool
from dashboard.jobs.models import Job

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
THING = uuid.UUID("00000000-0000-4000-8000-000000000042")
NOTED = {SignIn, Counted}
"""That somebody was there, and how often they failed, is noted whatever they do; `Session` with it."""
WORDS = {"slug": "operator", "str": "word", "path": "word", "int": "1", "uuid": str(THING), "uuidstr": str(THING)}


def patterns(resolver: Any = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for item in (resolver or get_resolver()).url_patterns:
        route = prefix + str(item.pattern)
        if isinstance(item, URLResolver):
            yield from patterns(item, route)
        else:
            yield route, item


def address(route: str) -> str:
    """An address of a route, with things in it that are there."""
    route = re.sub(r"\(\?P<\w+>[^)]*\)", "word", route)
    filled = re.sub(r"<(?:(\w+):)?(\w+)>", lambda match: WORDS.get(match[1] or "str", "word"), route)
    return "/" + filled.replace("^", "").replace("\\Z", "").replace("$", "").replace("\\", "")


ROUTES = {address(route): pattern for route, pattern in patterns()}
ENDING = sorted(path for path in ROUTES if not path.endswith("/events"))
"""All but the stream of events, whose answer does not end."""


@pytest.fixture
def house(db: None, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> User:
    """A kvmweb with one of everything; its administrator."""
    settings.ALLOWED_HOSTS = ["testserver"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    root = User.objects.create_user("root", pk=1, role="administrator")
    host = Host.objects.create(pk=1, name="alpha", transport="test", status="live")
    Guest.objects.create(
        pk=1, host=host, uuid=THING, name="web1", state="running", xml="<domain/>", facts={"machine": "q35"}
    )
    Pool.objects.create(pk=1, host=host, uuid=THING, name="default", kind="dir", state="running")
    Network.objects.create(pk=1, host=host, uuid=THING, name="default", active=True)
    Job.objects.create(pk=THING, operation="guest.start", host=host, created_by=root, state="failed")
    Role.objects.create(slug="own", name="Own", permissions=["guest.view"])
    ApiToken.objects.create(pk=THING, user=root, name="script", digest="0" * 64, hint="kvm_000000")
    Grant.objects.create(user=User.objects.create_user("anna"), role="own")
    return root


def browser(person: User, **options: Any) -> Client:
    client = Client(raise_request_exception=False, **options)
    client.force_login(person, backend=BACKEND)
    return client


def everything() -> dict[str, list[dict[str, Any]]]:
    """All rows of all our tables."""
    ours: list[type[models.Model]] = [
        model
        for model in apps.get_models()
        if model not in NOTED and model._meta.label not in ("sessions.Session", "contenttypes.ContentType")
    ]
    return {model._meta.label: list(model._base_manager.order_by("pk").values()) for model in ours}


def test_there_are_routes_of_every_room() -> None:
    rooms = {path.split("/")[1] for path in ROUTES}
    assert {"accounts", "api", "guests", "hosts", "jobs", "networks", "people", "security", "storage"} <= rooms
    assert len(ROUTES) > 100


@pytest.mark.parametrize("path", ENDING)
@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_changes_nothing(house: User, path: str, method: str) -> None:
    client = browser(house)
    before = everything()
    answer = getattr(client, method)(path)
    assert answer.status_code < 500, answer.content[:2000]
    if answer.streaming:
        b"".join(answer)
    assert everything() == before


@pytest.mark.parametrize("path", ENDING)
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_is_sent_without_the_token_of_a_page_of_ours(house: User, path: str, method: str) -> None:
    client = browser(house, enforce_csrf_checks=True)
    before = everything()
    answer = getattr(client, method)(path, data=b"{}", content_type="application/json")
    assert answer.status_code in (403, 404, 405), f"{path} answers {answer.status_code} without a token"
    assert everything() == before


HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}
POLICY = {
    "default-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "connect-src": "'self'",
}


def assert_strict(answer: Any, path: str) -> None:
    for name, value in HEADERS.items():
        assert answer.headers.get(name) == value, f"{path}: {name}"
    parts = (part.strip().partition(" ") for part in answer["Content-Security-Policy"].split(";") if part.strip())
    policy = {name: value for name, _blank, value in parts}
    for name, value in POLICY.items():
        assert policy.get(name) == value, f"{path}: {name}"
    assert "'self'" in policy["script-src"]
    for name in ("script-src", "script-src-elem", "script-src-attr", "default-src"):
        assert "unsafe" not in policy.get(name, ""), f"{path}: {name}"
    for cookie in (one for one in answer.cookies.values() if one.value):  # the others are being forgotten
        assert cookie["samesite"] == "Lax", f"{path}: {cookie.key}"
        assert cookie["path"] == "/", f"{path}: {cookie.key}"
        assert cookie["httponly"] or cookie.key.endswith("csrf"), f"{path}: {cookie.key}"


@pytest.mark.parametrize("path", [*ENDING, "/nowhere/", "/guests/%ff/", "/api/v1/nowhere"])
def test_every_answer_bears_the_headers(house: User, path: str) -> None:
    client = browser(house)
    for answer in (client.get(path), Client(raise_request_exception=False).get(path), client.post(path)):
        assert_strict(answer, path)


def test_errors_bear_the_headers_too(house: User, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    client = browser(house)
    assert_strict(client.get("/hosts/", headers={"host": "evil.example"}), "400")
    assert client.get("/hosts/", headers={"host": "evil.example"}).status_code == 400
    assert_strict(browser(house, enforce_csrf_checks=True).post("/preferences/"), "403")

    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("dashboard.hosts.queries.hosts_with_counts", broken)
    answer = client.get("/hosts/")
    assert answer.status_code == 500
    assert b"broken on purpose" not in answer.content
    assert_strict(answer, "500")


def test_cookies_of_https_are_bound_to_the_host_and_never_sent_in_clear() -> None:
    """In a process of its own, because settings are read once."""
    import os
    import subprocess
    import sys

    code = (
        "import django; django.setup(); from django.conf import settings as s;"
        "print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.KNOWN_BROWSER_COOKIE_NAME, s.SESSION_COOKIE_SECURE,"
        " s.CSRF_COOKIE_SECURE, s.SESSION_COOKIE_DOMAIN, s.SECURE_HSTS_SECONDS)"
    )
    env = os.environ | {"KVMWEB_PUBLIC_URL": "https://vm.example.org", "DJANGO_SETTINGS_MODULE": "kvmweb.settings"}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    *names, secure, csrf_secure, domain, hsts = said.split()
    assert all(name.startswith("__Host-") for name in names)
    assert (secure, csrf_secure, domain, hsts) == ("True", "True", "None", "31536000")
