"""People who sign in as browsers do, without Redis or collected files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from dashboard.accounts import people, sessions
from dashboard.accounts.models import User

PASSWORD = "correct horse battery staple"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings, db: None) -> Iterator[None]:
    """A kvmweb of the test's own."""
    monkeypatch.setattr(people, "SETUP_TOKEN", tmp_path / "setup-link")
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # some sign in forty times
    cache.clear()
    sessions._noted.clear()
    yield
    sessions._noted.clear()


def person(name: str, role: str = "operator") -> User:
    """Somebody with PASSWORD."""
    return people.add_person(actor=None, username=name, password=PASSWORD, role=role)


def sign_in(name: str, password: str = PASSWORD, *, ip: str = "192.0.2.1", client: Client | None = None) -> Client:
    """A browser that has sent the sign-in form; `signed_in` says whether it worked."""
    browser = client or Client(
        REMOTE_ADDR=ip, HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"
    )
    browser.post("/accounts/login/", {"login": name, "password": password})
    return browser


def signed_in(browser: Client) -> bool:
    """Whether somebody is signed in."""
    return "_auth_user_id" in browser.session


def code_of(secret: str, at: float) -> str:
    """What an authenticator app shows at a time."""
    return format_hotp_value(hotp_value(secret, int(at) // 30))


def set_up_app(browser: Client) -> str:
    """Set up an authenticator app on its page; the app's secret."""
    page = browser.get("/accounts/2fa/totp/activate/")
    secret = str(page.context["form"].secret)
    done = browser.post("/accounts/2fa/totp/activate/", {"code": code_of(secret, time.time())})
    assert done.status_code == 302, done.content.decode()
    return secret


def step(browser: Client, code: str) -> bool:
    """Send a code after the password; whether that signed in."""
    browser.post("/accounts/2fa/authenticate/", {"code": code})
    return signed_in(browser)


def long_ago(browser: Client) -> None:
    """Let the sign-in be eleven minutes old."""
    session = browser.session
    for record in session.get("account_authentication_methods", []):
        record["at"] -= 660
    session["signed_in_at"] -= 660
    session.save()
