"""Which open consoles end: by grants that go, groups that are left, roles that are edited; asked for many at once."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group
from django.contrib.sessions.backends.db import SessionStore

from dashboard.accounts import grants
from dashboard.accounts.models import Grant as Granted
from dashboard.accounts.models import Role, User
from dashboard.consoles.refusals import GONE, RIGHTS, SESSION
from dashboard.consoles.rights import Grant, ended
from dashboard.inventory.models import Guest, Host

pytestmark = pytest.mark.django_db


def session_of(person: User) -> str:
    store = SessionStore()
    store[SESSION_KEY] = str(person.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = person.get_session_auth_hash()
    store.create()
    return str(store.session_key)


@pytest.fixture
def guest() -> Guest:
    host = Host.objects.create(name="alpha", transport="test", status="live")
    return Guest.objects.create(
        host=host, uuid=uuid.uuid4(), name="web1", state="running", tags=["Web"], tags_text=" Web "
    )


def console(person: User, guest: Guest, permission: str = "guest.console") -> Grant:
    return Grant(person.pk, session_of(person), guest.host_id, str(guest.uuid), permission)


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna", role="administrator")


@pytest.fixture
def ben() -> User:
    """Works on what is tagged "web", by a group whose role is one of the house's own."""
    Role.objects.create(slug="workers", name="Workers", permissions=["guest.view", "guest.console"])
    group = Group.objects.create(name="web team")
    Granted.objects.create(group=group, role="workers", place="tag", key="web")
    person = User.objects.create_user("ben")
    person.groups.add(group)
    return person


def nothing(anna: User, ben: User) -> None:
    return


def leave(anna: User, ben: User) -> None:
    grants.leave(actor=anna, person=ben, group=Group.objects.get())


def lose_the_grant(anna: User, ben: User) -> None:
    grants.remove(actor=anna, grant=Granted.objects.get(group__name="web team"))


def lose_by_the_role(anna: User, ben: User) -> None:
    role = Role.objects.get(slug="workers")
    role.permissions = ["guest.view"]
    grants.save_role(actor=anna, role=role)


def lose_the_group(anna: User, ben: User) -> None:
    grants.remove_group(actor=anna, group=Group.objects.get())


def lose_the_tag(anna: User, ben: User) -> None:
    Guest.objects.update(tags=["Web2"], tags_text=" Web2 ")


def disable(anna: User, ben: User) -> None:
    User.objects.filter(pk=ben.pk).update(is_active=False)


def remove_the_guest(anna: User, ben: User) -> None:
    Guest.objects.all().delete()


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (nothing, None),
        (leave, RIGHTS),
        (lose_the_grant, RIGHTS),
        (lose_by_the_role, RIGHTS),
        (lose_the_group, RIGHTS),
        (lose_the_tag, RIGHTS),
        (disable, SESSION),
        (remove_the_guest, GONE),
    ],
)
def test_a_console_ends_with_the_right_to_it(
    anna: User, ben: User, guest: Guest, event: Callable[[User, User], None], why: Any
) -> None:
    open_now = console(ben, guest)
    assert ended([open_now]) == {}
    event(anna, ben)
    assert ended([open_now]) == ({open_now: why} if why else {})


def test_a_watcher_stays_when_only_the_right_to_work_goes(anna: User, guest: Guest) -> None:
    person = User.objects.create_user("vera", role="operator")
    works, watches = console(person, guest), console(person, guest, "guest.watch")
    Granted.objects.filter(user=person).update(role="viewer")
    assert ended([works, watches]) == {works: RIGHTS}


def test_any_number_of_consoles_costs_the_same(guest: Guest, ben: User, django_assert_num_queries: Any) -> None:
    people = [ben, *(User.objects.create_user(f"p{number}", role="operator") for number in range(20))]
    consoles = [console(person, guest) for person in people]
    with django_assert_num_queries(6):
        assert ended(consoles) == {}
    with django_assert_num_queries(6):
        assert ended(consoles[:1]) == {}
