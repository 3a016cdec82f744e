"""Whether open consoles may stay open: one batched look at sessions, people and guests for any number of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from dashboard.accounts.access import can, know
from dashboard.accounts.models import User
from dashboard.consoles.refusals import GONE, RIGHTS, SESSION, Why
from dashboard.inventory.models import Guest

SECONDS_BETWEEN_LOOKS = 2.0
LONGEST_SECONDS = 12 * 3600


@dataclass(frozen=True)
class Grant:
    """In whose name, from which session and by which permission a console is open."""

    user: int
    session_key: str
    host: int
    uuid: str
    permission: str


def ended(grants: Collection[Grant]) -> dict[Grant, Why]:
    """The grants that no longer hold, each with the reason.

    Four queries, whatever the number; one more where roles of their own play a part.
    """
    sessions = _sessions({grant.session_key for grant in grants})
    people = User.objects.in_bulk({grant.user for grant in grants})
    know(list(people.values()))
    guests = {
        (guest.host_id, str(guest.uuid)): guest
        for guest in Guest.objects.filter(uuid__in={grant.uuid for grant in grants}, host__enabled=True)
        .select_related("host")
        .defer("xml", "facts", "description")
    }
    verdicts = {grant: _verdict(grant, sessions, people, guests) for grant in grants}
    return {grant: why for grant, why in verdicts.items() if why is not None}


def _sessions(keys: set[str]) -> dict[str, dict[str, str]]:
    rows = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return {row.session_key: row.get_decoded() for row in rows}


def _verdict(
    grant: Grant,
    sessions: dict[str, dict[str, str]],
    people: dict[int, User],
    guests: dict[tuple[int, str], Guest],
) -> Why | None:
    person, session = people.get(grant.user), sessions.get(grant.session_key)
    if person is None or session is None or not _signed_in(person, session):
        return SESSION
    guest = guests.get((grant.host, grant.uuid))
    if guest is None:
        return GONE
    return None if can(person, grant.permission, guest) else RIGHTS


def _signed_in(person: User, session: dict[str, str]) -> bool:
    """Whether the session is this person's, made with their present password."""
    return (
        person.is_active
        and session.get(SESSION_KEY) == str(person.pk)
        and session.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
        and constant_time_compare(session.get(HASH_SESSION_KEY, ""), person.get_session_auth_hash())
    )
