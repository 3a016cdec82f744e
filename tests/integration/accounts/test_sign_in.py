"""Signing in while Redis hangs: what throttles it is in the database, so it works, and guessing stays slow."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from dashboard.accounts import people
from dashboard.inventory import bus
from tests.lab.redis import RedisServer

PASSWORD = "correct horse battery staple"


@pytest.fixture
def hung(redis_server: RedisServer, settings: Settings, db: None) -> Iterator[None]:
    """A Redis that takes connections and says nothing."""
    settings.ALLOWED_HOSTS = ["testserver"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    cache.clear()
    assert redis_server.process is not None
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    yield
    os.kill(redis_server.process.pid, signal.SIGCONT)
    bus._hangs_until = 0.0


@pytest.mark.usefixtures("hung")
def test_one_signs_in_while_redis_hangs_and_guessing_stays_slow() -> None:
    people.add_person(actor=None, username="anna", password=PASSWORD, role="viewer")
    began = time.monotonic()
    browser = Client()
    assert browser.get("/accounts/login/").status_code == 200
    assert browser.post("/accounts/login/", {"login": "anna", "password": PASSWORD}).status_code == 302
    assert "_auth_user_id" in browser.session
    assert time.monotonic() - began < 5
    for _ in range(6):
        Client(REMOTE_ADDR="192.0.2.9").post("/accounts/login/", {"login": "anna", "password": "wrong"})
    late = Client(REMOTE_ADDR="192.0.2.9")
    late.post("/accounts/login/", {"login": "anna", "password": PASSWORD})
    assert "_auth_user_id" not in late.session
    began = time.monotonic()
    assert browser.get("/preferences/").status_code == 200
    print(f"the first page after it took {time.monotonic() - began:.1f} s")
