"""Nobody gives or takes over what they do not have: what a role would give on a place that somebody lacks there."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.db.models import Q
from django.utils.translation import gettext as _

from dashboard.accounts.access import Held, Place, can, limits_of, permissions_of, rights_of
from dashboard.accounts.models import Grant, User
from dashboard.accounts.permissions import ON_GUESTS, ON_HOSTS, PERMISSIONS, ROLES


class Refusal(ValueError):
    """Why it is not done, in one sentence for the person."""


class Above(Refusal):
    """It would be done to somebody who may do more."""


def beyond(actor: User, role: str, place: str, key: str) -> Held:
    """The permissions that the role would give there and that `actor` does not have there."""
    allows = ROLES.get(role) or permissions_of([role]).get(role, frozenset())
    return frozenset(name for name in allows & given_on(place) if not _has(actor, name, place, key))


def beyond_at(actor: User, role: str, where: Place) -> Held:
    """The same for one guest as it is now: what the role would give on it that `actor` does not have on it."""
    allows = ROLES.get(role) or permissions_of([role]).get(role, frozenset())
    both = (rights_of(actor), limits_of(actor))
    return frozenset(name for name in allows & ON_GUESTS if not all(one.allow(name, where) for one in both))


def refuse_take_over(actor: User, person: User) -> None:
    """Refuse what would let `actor` sign in as somebody who may do more than they do themselves, disabled or not."""
    if _may_do_more(actor, person):
        raise Above(
            _("%(name)s may do more than you: only who may do all of that helps them sign in.") % {"name": person}
        )


def refuse_over(actor: User, whom: User | Group) -> None:
    """Refuse to keep somebody out, or to take rights away, who may do more than `actor`; oneself excepted.

    A group may do what it was granted itself.
    """
    if _may_do_more(actor, whom):
        raise Above(
            _("%(name)s may do more than you: only who may do all of that takes anything away from them.")
            % {"name": whom}
        )


def _may_do_more(actor: User, whom: User | Group) -> bool:
    if whom == actor:
        return False
    theirs = Q(user=whom) | Q(group__user=whom) if isinstance(whom, User) else Q(group=whom)
    granted = Grant.objects.filter(theirs).distinct()
    return any(beyond(actor, one.role, one.place, one.key) for one in granted)


def given_on(place: str) -> Held:
    """The permissions that a grant on a place of this kind can give."""
    if place == Grant.Where.EVERYTHING:
        return frozenset(PERMISSIONS)
    return ON_HOSTS if place == Grant.Where.HOST else ON_GUESTS


def _has(actor: User, permission: str, place: str, key: str) -> bool:
    if place == Grant.Where.TAG:
        both = (rights_of(actor), limits_of(actor))
        return can(actor, permission) or all(permission in one.tags.get(key.lower(), ()) for one in both)
    if place == Grant.Where.EVERYTHING:
        return can(actor, permission)
    host, _slash, uuid = key.partition("/")
    where = Place(host=int(host) if host.isdecimal() else None, guest=uuid)
    return rights_of(actor).allow(permission, where) and limits_of(actor).allow(permission, where)


def refuse_beyond(lacking: Iterable[str], *, taken: bool = False) -> None:
    """Refuse to give away what one does not have, or to take it from a role."""
    names = sorted(str(PERMISSIONS[name]) for name in lacking)
    if names:
        said = _("You cannot give what you do not have there yourself: %(permissions)s.")
        if taken:
            said = _("You cannot take away what you do not have yourself: %(permissions)s.")
        raise Refusal(said % {"permissions": "; ".join(names)})
