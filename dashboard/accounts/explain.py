"""Why somebody may do something somewhere, and what would let them if they may not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.contrib.auth.models import Group
from django.utils.functional import Promise

from dashboard.accounts.access import Held, Place, grants_of_all
from dashboard.accounts.giving import given_on
from dashboard.accounts.models import Grant, Role, User
from dashboard.accounts.permissions import ON_GUESTS, ON_HOSTS, PERMISSIONS, ROLE_LABELS, ROLES
from dashboard.accounts.places import names_of


@dataclass(frozen=True)
class Reason:
    """One grant that allows it."""

    role: str
    place: str
    group: str
    """The group whose grant it is; "" for the person's own."""


@dataclass
class Answer:
    """One permission: whether it is held, by which grants, and which roles hold it."""

    permission: str
    label: str | Promise
    reasons: list[Reason] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    """The names of all roles with the permission, the least of them first: for who has none of them."""

    @property
    def allowed(self) -> bool:
        """Whether the person may."""
        return bool(self.reasons)


def explain(person: User, place: Place) -> list[Answer]:
    """Every permission that there is on that place, with the grants by which the person has it. Five queries at most."""
    grants = [grant for grant in grants_of_all([person]).get(person.pk, []) if covers(grant, place)]
    return _answers(grants, ON_GUESTS if place.guest else ON_HOSTS)


def effective(person: User) -> list[Answer]:
    """Every permission that the person has anywhere, with the grants that give it."""
    return [answer for answer in _answers(grants_of_all([person]).get(person.pk, []), PERMISSIONS) if answer.allowed]


def covers(grant: Grant, place: Place) -> bool:
    """Whether a grant counts for what is there."""
    if grant.place == Grant.Where.EVERYTHING:
        return True
    if grant.place == Grant.Where.HOST:
        return grant.key == str(place.host)
    if grant.place == Grant.Where.GUEST:
        return bool(place.guest) and grant.key == f"{place.host}/{place.guest}"
    return grant.key.lower() in {tag.lower() for tag in place.tags}


def _answers(grants: list[Grant], permissions: Iterable[str]) -> list[Answer]:
    roles = all_roles()
    names, groups = names_of(grants), _groups(grants)
    wanted = set(permissions)
    answers = {
        name: Answer(name, label, roles=[roles[slug][0] for slug in roles if name in roles[slug][1]])
        for name, label in PERMISSIONS.items()
        if name in wanted
    }
    for grant in grants:
        label, allows = roles.get(grant.role, (grant.role, frozenset()))
        for permission in allows & given_on(grant.place) & answers.keys():
            reason = Reason(label, names[grant.place, grant.key], groups.get(grant.group_id or 0, ""))
            answers[permission].reasons.append(reason)
    return list(answers.values())


def all_roles() -> dict[str, tuple[str, Held]]:
    """Every role: slug → (name, permissions); the built-in ones first, from the least to the most."""
    found = {slug: (str(ROLE_LABELS[slug]), allows) for slug, allows in ROLES.items() if slug in ROLE_LABELS}
    for role in Role.objects.exclude(slug__in=ROLES):
        found[role.slug] = (role.name, role.allows)
    return found


def _groups(grants: list[Grant]) -> dict[int, str]:
    wanted = {grant.group_id for grant in grants if grant.group_id is not None}
    return dict(Group.objects.filter(pk__in=wanted).values_list("pk", "name")) if wanted else {}
