"""Many sessions are looked up in a constant number of queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore

from dashboard.accounts.models import User
from dashboard.live.sessions import scopes, session_key


def session(person: User) -> str:
    store = SessionStore()
    store[SESSION_KEY] = str(person.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = person.get_session_auth_hash()
    store.create()
    return str(store.session_key)


@pytest.mark.django_db
def test_three_queries_for_any_number_of_pages(django_assert_num_queries: Callable[..., Any]) -> None:
    people = [User.objects.create_user(f"person{number}", role="operator") for number in range(20)]
    keys = [session(person) for person in people for _ in range(3)]
    with django_assert_num_queries(4):
        found = scopes([*keys, *keys, "unknown"])
    assert len(found) == 60
    assert all("guest.power" in scope.rights.everywhere for scope in found.values())


def test_the_cookie_is_found_among_others_and_nonsense_is_none() -> None:
    assert session_key([(b"cookie", f"a=b; {settings.SESSION_COOKIE_NAME}=abc; c=d".encode())]) == "abc"
    assert session_key([(b"host", b"x"), (b"cookie", b"a=b")]) == ""
    assert session_key([(b"cookie", b"\xff\xfe;;;=")]) == ""
