"""Granting roles to people and groups. Nobody grants more than they have, the last administrator stays, all is audited."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils.translation import gettext as _

from dashboard.accounts import turns
from dashboard.accounts.access import Place, can, rights_of
from dashboard.accounts.audit import record
from dashboard.accounts.giving import Refusal, beyond, beyond_at, refuse_beyond, refuse_over
from dashboard.accounts.models import Grant, Role, User
from dashboard.accounts.people import LastAdministrator, administrators
from dashboard.accounts.permissions import OPERATOR

Holder = User | Group
USING = ("guest.view", "guest.power", "guest.console")
"""What it takes to use a guest."""


def add(*, actor: User, to: Holder, role: str, place: str, key: str = "", source_ip: str = "") -> Grant:
    """Grant a role on a place. The same grant twice is one."""
    key = unicodedata.normalize("NFC", key).lower() if place == Grant.Where.TAG else key
    refuse_beyond(beyond(actor, role, place, key))
    with transaction.atomic():
        grant, made = Grant.objects.get_or_create(
            **holder_fields(to), role=role, place=place, key=key, defaults={"created_by": actor.get_username()}
        )
        if made:
            note(actor, "grant.add", to, source_ip, role=role, place=place, key=key)
    return grant


def remove(*, actor: User, grant: Grant, source_ip: str = "") -> None:
    """Take a grant away; from nobody who may do more."""
    holder = grant.user or grant.group
    assert holder is not None  # noqa: S101 - a constraint of the table
    refuse_over(actor, holder)
    with keeping_an_administrator():
        grant.delete()
        note(actor, "grant.remove", holder, source_ip, role=grant.role, place=grant.place, key=grant.key)


def join(*, actor: User, person: User, group: Group, source_ip: str = "") -> None:
    """Make somebody a member of a group: that grants them all that the group has."""
    for grant in Grant.objects.filter(group=group):
        refuse_beyond(beyond(actor, grant.role, grant.place, grant.key))
    with transaction.atomic():
        person.groups.add(group)
        note(actor, "group.join", group, source_ip, person=person.username)


def leave(*, actor: User, person: User, group: Group, source_ip: str = "") -> None:
    """Take somebody out of a group; nobody who may do more."""
    refuse_over(actor, person)
    with keeping_an_administrator():
        person.groups.remove(group)
        note(actor, "group.leave", group, source_ip, person=person.username)


def add_group(*, actor: User, name: str, source_ip: str = "") -> Group:
    """Make a group, without members and grants."""
    with transaction.atomic():
        group = Group.objects.create(name=name)
        note(actor, "group.add", group, source_ip)
    return group


def remove_group(*, actor: User, group: Group, source_ip: str = "") -> None:
    """Delete a group: its members lose what only it gave them. None that may do more."""
    refuse_over(actor, group)
    with keeping_an_administrator():
        members = sorted(group.user_set.values_list("username", flat=True))
        note(actor, "group.remove", group, source_ip, members=members)
        group.delete()


def save_role(*, actor: User, role: Role, source_ip: str = "") -> Role:
    """Make or change a role of one's own making; a permission that is added or taken away must be one's own."""
    before = Role.objects.filter(pk=role.pk).first() if role.pk else None
    had = before.allows if before else frozenset()
    refuse_beyond(name for name in role.allows - had if not can(actor, name))
    refuse_beyond((name for name in had - role.allows if not can(actor, name)), taken=True)
    with transaction.atomic():
        role.save()
        was = {"before": sorted(before.allows)} if before else {}
        note(actor, "role.change" if before else "role.add", role, source_ip, permissions=sorted(role.allows), **was)
    return role


def remove_role(*, actor: User, role: Role, source_ip: str = "") -> None:
    """Delete a role that nobody has."""
    holders = holders_of(role.slug)
    if holders:
        raise Refusal(_("Still granted to: %(names)s. Take it away from them first.") % {"names": ", ".join(holders)})
    with transaction.atomic():
        note(actor, "role.remove", role, source_ip)
        role.delete()


def holders_of(slug: str) -> list[str]:
    """The names of the people and groups that have a role anywhere."""
    names = Grant.objects.filter(role=slug).values_list("user__username", "group__name")
    return sorted({user or group for user, group in names})


@contextmanager
def keeping_an_administrator() -> Iterator[None]:
    """A transaction that fails with LastAdministrator if nobody would be left who may sign in as administrator."""
    with transaction.atomic():
        turns.take("administrators")
        yield
        if not administrators():
            raise LastAdministrator


# -- what others do with grants


def tags_granted() -> set[str]:
    """The tags on which something is granted, in lower case."""
    return {key.lower() for key in Grant.objects.filter(place=Grant.Where.TAG).values_list("key", flat=True).distinct()}


def guarded(user: User, where: Place, after: Iterable[str]) -> list[str]:
    """The tags by whose coming or going somebody would gain or lose rights, if `user` may not decide on that.

    `where`: the guest as it is. Who manages people may, but gives nobody more on it than they have themselves.
    """
    before, wanted = {tag.lower() for tag in where.tags}, {tag.lower() for tag in after}
    changed = before ^ wanted
    if not changed or not can(user, "people.manage"):
        return sorted(changed & tags_granted()) if changed else []
    given = Grant.objects.filter(place=Grant.Where.TAG).values_list("key", "role").distinct()
    return sorted(
        {key.lower() for key, role in given if key.lower() in wanted - before and beyond_at(user, role, where)}
    )


def forget_host(pk: int) -> None:
    """A host was removed for good: nothing is granted on it or its guests any more."""
    for grant in Grant.objects.filter(place=Grant.Where.HOST, key=str(pk)):
        grant.delete()
    for grant in Grant.objects.filter(place=Grant.Where.GUEST, key__startswith=f"{pk}/"):
        grant.delete()


def give_to_maker(person: User, host: int, uuid: str) -> Grant | None:
    """Let the maker of a guest use it: an operator's grant on it, unless they may already. Returns what was made."""
    place = Place(host=host, guest=uuid)
    if all(rights_of(person).allow(name, place) for name in USING):
        return None
    grant, made = Grant.objects.get_or_create(
        user=person, role=OPERATOR, place=Grant.Where.GUEST, key=f"{host}/{uuid}", defaults={"created_by": ""}
    )
    if made:
        note(person, "grant.add", person, "", role=OPERATOR, place=grant.place, key=grant.key)
    return grant if made else None


def forget_guest(host: int, uuid: str) -> None:
    """A guest was deleted for good: one that is made with its UUID later is another."""
    for grant in Grant.objects.filter(place=Grant.Where.GUEST, key=f"{host}/{uuid}"):
        grant.delete()


def holder_fields(holder: Holder) -> dict[str, Any]:
    """The fields of a grant that say whose it is."""
    return {"user": holder} if isinstance(holder, User) else {"group": holder}


def note(actor: User, action: str, on: Holder | Role, source_ip: str, **detail: Any) -> None:
    """Write into the audit log what was done to a person's, group's or role's rights."""
    kind = {User: "person", Group: "group", Role: "role"}[type(on)]
    record(
        actor=actor,
        action=action,
        phase="event",
        object_kind=kind,
        object_key=str(on.pk),
        object_name=str(on),
        result="ok",
        source_ip=source_ip,
        detail=detail,
    )
