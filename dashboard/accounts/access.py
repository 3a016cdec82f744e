"""The one place that decides who may do what: `can`, the filters of lists, and the scope of live messages."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce

from dashboard.accounts.permissions import ON_GUESTS, ON_HOSTS, PERMISSIONS, ROLES

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from dashboard.accounts.models import Grant, User

Held = frozenset[str]
NOTHING: Held = frozenset()


@dataclass(frozen=True)
class Place:
    """Where a right is asked for. A host's own things (pools, networks) have only the host."""

    host: int | None = None
    guest: str = ""
    """The guest's UUID."""
    tags: tuple[str, ...] = ()


class Placed(Protocol):
    """A Host, Guest, Pool, Network or Job."""

    @property
    def place(self) -> Place:
        """Where rights on it are asked for."""


@dataclass(frozen=True)
class Rights:
    """All that somebody was granted: permissions on everything, and by host id, tag (lower case) and (host id, UUID)."""

    everywhere: Held = NOTHING
    hosts: dict[int, Held] = field(default_factory=dict)
    tags: dict[str, Held] = field(default_factory=dict)
    guests: dict[tuple[int, str], Held] = field(default_factory=dict)

    def allow(self, permission: str, place: Place | None) -> bool:
        """Whether the permission is held on everything or at that place."""
        if permission in self.everywhere:
            return True
        if place is None or place.host is None:
            return False
        if permission in self.hosts.get(place.host, NOTHING):
            return True
        if not place.guest:
            return False
        if permission in self.guests.get((place.host, place.guest), NOTHING):
            return True
        return any(permission in self.tags.get(tag.lower(), NOTHING) for tag in place.tags)

    def somewhere(self, permission: str) -> bool:
        """Whether the permission is held on anything at all."""
        parts = (self.hosts, self.tags, self.guests)
        return permission in self.everywhere or any(permission in held for part in parts for held in part.values())

    def sees_on(self, host: int, tags_there: Collection[str]) -> bool:
        """Whether some guest of that host may be seen, if its guests together have these tags (in lower case)."""
        if self.allow("guest.view", Place(host=host)):
            return True
        if any("guest.view" in held for (on, _uuid), held in self.guests.items() if on == host):
            return True
        return any("guest.view" in held and tag in tags_there for tag, held in self.tags.items())

    def guests_with(self, permission: str) -> Q:
        """The filter over guests for those on which the permission is held."""
        if permission in self.everywhere:
            return Q()
        wanted = self.hosts_with(permission)
        for tag, held in self.tags.items():
            if permission in held:
                # SQLite's LIKE knows the case of ASCII letters only; its regular expressions are Python's.
                plain = tag.isascii()
                wanted |= Q(tags_text__icontains=f" {tag} ") if plain else Q(tags_text__iregex=f" {re.escape(tag)} ")
        for (host, uuid), held in self.guests.items():
            if permission in held:
                wanted |= Q(host_id=host, uuid=uuid)
        return wanted

    def hosts_with(self, permission: str, field: str = "host_id") -> Q:
        """The filter by host for what belongs to hosts on which the permission is held; `field="pk"` for hosts."""
        if permission in self.everywhere:
            return Q()
        return Q(**{f"{field}__in": [host for host, held in self.hosts.items() if permission in held]})


def gather(grants: Iterable[Grant], roles: dict[str, Held]) -> Rights:
    """The rights that grants give together. `roles`: permissions of roles that are not built in, by slug."""
    everywhere: set[str] = set()
    hosts: dict[int, Held] = {}
    tags: dict[str, Held] = {}
    guests: dict[tuple[int, str], Held] = {}
    for grant in grants:
        held = ROLES.get(grant.role) or roles.get(grant.role, NOTHING)
        if grant.place == "everything":
            everywhere |= held
        elif grant.place == "host" and grant.key.isdecimal():
            hosts[int(grant.key)] = hosts.get(int(grant.key), NOTHING) | (held & ON_HOSTS)
        elif grant.place == "tag" and grant.key:
            tags[grant.key.lower()] = tags.get(grant.key.lower(), NOTHING) | (held & ON_GUESTS)
        elif grant.place == "guest":
            host, _, uuid = grant.key.partition("/")
            if host.isdecimal():
                guests[int(host), uuid] = guests.get((int(host), uuid), NOTHING) | (held & ON_GUESTS)
    return Rights(frozenset(everywhere), hosts, tags, guests)


def grants_of_all(people: Collection[User]) -> dict[int, list[Grant]]:
    """The grants of each of these people, their own and those of their groups, by one query; disabled people have none.

    Each has `demands`: whether its role demands a second factor.
    """
    from dashboard.accounts.models import Grant, Role

    active = [person.pk for person in people if person.is_active]
    grants: dict[int, list[Grant]] = {pk: [] for pk in active}
    theirs = Grant.objects.filter(Q(user__in=active) | Q(group__user__in=active))
    demanding = Role.objects.filter(slug=OuterRef("role"), second_factor=True)
    for grant in theirs.annotate(member=Coalesce("user", "group__user"), demands=Exists(demanding)):
        if grant.member in grants:
            grants[grant.member].append(grant)
    return grants


def permissions_of(slugs: Iterable[str]) -> dict[str, Held]:
    """The permissions of roles that are not built in, by slug; no query when there are none."""
    from dashboard.accounts.models import Role

    own = set(slugs) - ROLES.keys()
    return {role.slug: role.allows for role in Role.objects.filter(slug__in=own)} if own else {}


def rights_of_all(people: Collection[User]) -> dict[int, Rights]:
    """The rights of many people by one query, or two where roles of their own play a part; disabled people have none."""
    grants = grants_of_all(people)
    own = permissions_of(grant.role for some in grants.values() for grant in some)
    for person in people:
        if person.pk in grants:
            person.__dict__["role"] = _role_on_everything(person.pk, grants[person.pk])
            person.__dict__["_demanded"] = any(getattr(grant, "demands", False) for grant in grants[person.pk])
    return {pk: gather(some, own) for pk, some in grants.items()}


def _role_on_everything(person: int, grants: Iterable[Grant]) -> str:
    """What `User.role` says, from grants that are loaded anyway."""
    order = [*ROLES, ""]
    slugs = [grant.role for grant in grants if grant.place == "everything" and grant.user_id == person]
    return max(slugs, key=lambda slug: order.index(slug) if slug in order else -1, default="")


def know(people: Collection[User]) -> None:
    """Load the rights of all these people at once, so that `can` asks nothing more."""
    found = rights_of_all(people)
    for person in people:
        person.__dict__["_rights"] = found.get(person.pk, Rights())


def rights_of(user: User | AnonymousUser) -> Rights:
    """The person's rights; none for nobody and for a disabled person. Kept with the object, so once a request."""
    if not user.is_authenticated or not user.is_active:
        return Rights()
    if "_rights" not in user.__dict__:
        know([user])
    known: Rights = user.__dict__["_rights"]
    return known


def second_factor_demanded(user: User) -> bool:
    """Whether a role of theirs demands a second factor; known with their rights."""
    rights_of(user)
    return bool(user.__dict__.get("_demanded"))


def forget(user: User) -> None:
    """Read the person's rights anew at the next question."""
    user.__dict__.pop("_rights", None)
    user.__dict__.pop("role", None)


def can(user: User | AnonymousUser, permission: str, object: Placed | None = None) -> bool:
    """Whether `user` has `permission` on `object`; without an object: on everything.

    A person who came with a token has a permission only where the token's own scope allows it, too. An undeclared
    permission is a programming error and raises KeyError.
    """
    if permission not in PERMISSIONS:
        raise KeyError(f"permission {permission!r} is not declared")
    rights, limits = rights_of(user), limits_of(user)
    if permission in rights.everywhere and permission in limits.everywhere:
        return True  # without asking the object where it is: a job must look that up
    if object is None or not rights.somewhere(permission) or not limits.somewhere(permission):
        return False
    place = object.place
    return rights.allow(permission, place) and limits.allow(permission, place)


def can_somewhere(user: User | AnonymousUser, permission: str) -> bool:
    """Whether `user` has `permission` on anything: who has it nowhere gets no page for it."""
    if permission not in PERMISSIONS:
        raise KeyError(f"permission {permission!r} is not declared")
    return rights_of(user).somewhere(permission) and limits_of(user).somewhere(permission)


ALL = Rights(everywhere=frozenset(PERMISSIONS))


def limits_of(user: User | AnonymousUser) -> Rights:
    """What the token allows with which the person came; everything when they came without one."""
    limits: Rights = user.__dict__.get("_limits", ALL)
    return limits


def guests_where(user: User, permission: str = "guest.view") -> Q:
    """The filter over guests for those on which the person has the permission."""
    return rights_of(user).guests_with(permission) & limits_of(user).guests_with(permission)


def on_hosts_where(user: User, permission: str, field: str = "host_id") -> Q:
    """The filter over pools, networks and (`field="pk"`) hosts for those on which the person has the permission."""
    return rights_of(user).hosts_with(permission, field) & limits_of(user).hosts_with(permission, field)


@dataclass(frozen=True)
class Scope:
    """What one person may see on the live stream; loaded at connect, again when rights change."""

    user_id: int
    rights: Rights
    limits: Rights = ALL
    token: str = ""
    """The API token by which the person came; "" for a browser's session."""

    def holds(self, permission: str, place: Place | None) -> bool:
        """Whether the person has the permission there."""
        return self.rights.allow(permission, place) and self.limits.allow(permission, place)

    def sees(self, message: dict[str, Any], tags: tuple[str, ...] = ()) -> bool:
        """Whether a live message (see `dashboard.live`) may be delivered. `tags`: those of the guest that it is about."""
        kind, host = message.get("k"), message.get("host")
        if kind == "job":
            row = message.get("row") or {}
            guest = str(message.get("uuid") or "") if row.get("object_kind") == "guest" else ""
            place = Place(host=host, guest=guest, tags=tags)
            own = message.get("user") == self.user_id
            # As `jobs.queries.visible_jobs`: a token hears of its owner's what it made itself and what its scope covers.
            mine = not self.token or message.get("token") == self.token or self.limits.allow("job.view", place)
            return (own and mine) or self.holds("job.view", place)
        if kind in ("guest", "metrics"):
            return self.holds("guest.view", Place(host=host, guest=str(message.get("uuid") or ""), tags=tags))
        needed = {"host": "host.view", "pool": "storage.view", "volume": "storage.view", "network": "network.view"}
        return kind in needed and self.holds(needed[str(kind)], Place(host=host))

    def glimpses(self, host: int, tags_there: Collection[str]) -> bool:
        """Whether the person sees any guest of that host, and so may know its name and state.

        `tags_there`: the tags of all its guests, in lower case.
        """
        both = (self.rights, self.limits)
        return all(one.sees_on(host, tags_there) for one in both)


def scope_of(user: User) -> Scope:
    """The person's scope as of now."""
    token = user.__dict__.get("_token")
    return Scope(user.pk, rights_of(user), limits_of(user), str(token.pk) if token else "")
