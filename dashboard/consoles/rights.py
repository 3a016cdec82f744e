"""Whether open consoles may stay open: one batched look at sessions, people and guests for any number of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dashboard.accounts.access import can, know
from dashboard.accounts.models import User
from dashboard.accounts.sessions import holders
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

    Five queries, whatever the number; one more where roles of their own play a part.
    """
    people = holders({grant.session_key for grant in grants})
    know(list(people.values()))
    guests = {
        (guest.host_id, str(guest.uuid)): guest
        for guest in Guest.objects.filter(uuid__in={grant.uuid for grant in grants}, host__enabled=True)
        .select_related("host")
        .defer("xml", "facts", "description")
    }
    verdicts = {grant: _verdict(grant, people, guests) for grant in grants}
    return {grant: why for grant, why in verdicts.items() if why is not None}


def _verdict(grant: Grant, people: dict[str, User], guests: dict[tuple[int, str], Guest]) -> Why | None:
    person = people.get(grant.session_key)
    if person is None or person.pk != grant.user:
        return SESSION
    guest = guests.get((grant.host, grant.uuid))
    if guest is None:
        return GONE
    return None if can(person, grant.permission, guest) else RIGHTS
