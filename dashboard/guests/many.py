"""Many guests at once: which ones are meant, how many of them each operation fits, and why it does not fit the others."""

from __future__ import annotations

import uuid as uuids
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from dashboard.accounts.access import can, can_somewhere
from dashboard.accounts.models import User
from dashboard.guests import search
from dashboard.guests.queries import visible_to
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.errors import Invalid
from dashboard.jobs.many import MOST
from dashboard.jobs.operation import OPERATIONS, Operation

Key = tuple[int, str]
"""A guest's host and UUID: several hosts may have one UUID."""
FIRST = (
    "guest.start",
    "guest.shutdown",
    "guest.force_off",
    "guest.pause",
    "guest.resume",
    "guest.reboot",
    "guest.retag",
)
"""What is offered before the others."""


def operations() -> list[Operation]:
    """The guests' operations that may be done to many; those that are wanted most come first, deleting last."""
    found = [one for one in OPERATIONS.values() if one.many is not None and one.target == "guest"]
    order = {name: place for place, name in enumerate(FIRST)}
    return sorted(found, key=lambda one: (bool(one.many and one.many.typed), order.get(one.name, len(FIRST))))


def may(user: User) -> bool:
    """Whether the person may do any of them to any guest: who may not needs no boxes to tick."""
    return any(can_somewhere(user, permission) for permission in {one.permission for one in operations()})


# -- which guests are meant


@dataclass(frozen=True)
class Selection:
    """Guests named one by one, or all that fit a search but some."""

    keys: frozenset[Key] = frozenset()
    q: str | None = None
    but: frozenset[Key] = frozenset()


def read(body: dict[str, Any]) -> Selection:
    """{"guests": [{"host": 3, "uuid": "…"}]} or {"q": "state:running", "but": […]}; raises Invalid."""
    if body.get("q") is None:
        return Selection(keys=_keys(body.get("guests"), "guests"))
    if body.get("guests") is not None:
        raise Invalid({"": [_("Name machines or give a search, not both.")]})
    return Selection(q=str(body["q"]), but=_keys(body.get("but") or [], "but"))


def _keys(given: Any, field: str) -> frozenset[Key]:
    wrong = Invalid({field: [_("Give a list of machines, each with its host and UUID.")]})
    if not isinstance(given, list):
        raise wrong
    try:
        return frozenset((int(one["host"]), str(uuids.UUID(str(one["uuid"])))) for one in given[: MOST + 1])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise wrong from error


def targets(user: User, selection: Selection) -> list[Guest]:
    """The guests that are meant, with their hosts, by name; those that the person may not see are not there.

    Raises Invalid for a search that cannot be read.
    """
    guests = visible_to(user)
    if selection.q is None:
        guests = guests.filter(uuid__in={key for _host, key in selection.keys})
    else:
        try:
            guests = guests.filter(search.parse(selection.q).q(user))
        except search.SearchError as error:
            raise Invalid({"q": [error.message]}) from error
    rows = guests.select_related("host").defer("xml", "description").order_by("name", "pk")
    if selection.q is None:
        return [one for one in rows if key_of(one) in selection.keys]
    return [one for one in rows[: MOST + 1 + len(selection.but)] if key_of(one) not in selection.but]


def key_of(guest: Guest) -> Key:
    """What tells it from all others."""
    return guest.host_id, str(guest.uuid)


# -- what fits


def why_not(user: User, declared: Operation, guest: Guest) -> str:
    """Why the operation is not for this guest now, or ""; the same reasons as for one alone."""
    if not can(user, declared.permission, guest):
        return _("You may not do this to it.")
    if guest.host.status != Host.Status.LIVE and not declared.offline:
        return _("Its host %(host)s does not answer at present.") % {"host": guest.host.name}
    return str(declared.refuse(guest, None) or "")


def fitting(user: User, declared: Operation, guests: Iterable[Guest]) -> tuple[list[Guest], Counter[str]]:
    """Those that the operation fits, and how many it does not fit for which reason."""
    fit: list[Guest] = []
    reasons: Counter[str] = Counter()
    for guest in guests:
        if reason := why_not(user, declared, guest):
            reasons[reason] += 1
        else:
            fit.append(guest)
    return fit, reasons


def offers(user: User, guests: Sequence[Guest]) -> list[dict[str, Any]]:
    """The operations that the person may do, each with how many of the guests it fits; the reason where it fits none."""
    found = []
    for declared in operations():
        if not can_somewhere(user, declared.permission):
            continue
        fit, reasons = fitting(user, declared, guests)
        found.append(
            {
                "name": declared.name,
                "label": str(declared.label),
                "icon": declared.icon,
                "danger": bool(declared.extra.get("danger")),
                "first": declared.name in FIRST,
                "fits": len(fit),
                "why": "" if fit else next((reason for reason, _number in reasons.most_common(1)), ""),
            }
        )
    return found
