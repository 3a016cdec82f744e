"""Who must use a second factor, who lacks one, and what an administrator does about a lost one."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce

from dashboard.accounts.access import can
from dashboard.accounts.audit import record
from dashboard.accounts.giving import refuse_beyond, refuse_take_over
from dashboard.accounts.models import Grant, Role, User
from dashboard.accounts.permissions import ROLES

if TYPE_CHECKING:
    from allauth.mfa.models import Authenticator


def demanding_roles() -> frozenset[str]:
    """The slugs of the roles that demand a second factor."""
    return frozenset(Role.objects.filter(second_factor=True).values_list("slug", flat=True))


def set_required(slug: str, required: bool, *, actor: User | None = None, source_ip: str = "") -> None:
    """Demand a second factor of everybody who has this role anywhere, or no longer.

    Raises Refusal when who no longer demands it lacks what the role allows: it would lay those people open.
    """
    role = Role.objects.filter(slug=slug).first() or Role(slug=slug)
    if role.pk is None and slug not in ROLES:
        raise KeyError(f"there is no role {slug!r}")
    if role.second_factor == required:
        return
    if not required and actor is not None:
        refuse_beyond(name for name in role.allows if not can(actor, name))
    role.second_factor = required
    with transaction.atomic():
        role.save()
        record(
            actor=actor,
            action="role.second_factor",
            phase="event",
            object_kind="role",
            object_key=slug,
            object_name=slug,
            result="ok",
            source_ip=source_ip,
            detail={"required": required},
        )


def required_for(user: User) -> bool:
    """Whether a role of theirs, of their own or by a group, demands a second factor."""
    theirs = Grant.objects.filter(Q(user=user) | Q(group__user=user))
    return theirs.filter(role__in=Role.objects.filter(second_factor=True).values("slug")).exists()


def missing(user: User | AnonymousUser) -> bool:
    """Whether the person must set up a second factor before anything else works for them."""
    return isinstance(user, User) and not user.second_factor and required_for(user)


def missing_among(people: Collection[User]) -> set[int]:
    """Those of many people who must set up a second factor first; one query, none when all have one."""
    without = {person.pk for person in people if not person.second_factor}
    if not without:
        return set()
    theirs = Grant.objects.filter(Q(user__in=without) | Q(group__user__in=without))
    demanded = theirs.filter(role__in=Role.objects.filter(second_factor=True).values("slug"))
    return without & set(demanded.annotate(member=Coalesce("user", "group__user")).values_list("member", flat=True))


def note(user_id: int) -> None:
    """Keep `User.second_factor` true: called whenever an authenticator came or went."""
    from allauth.mfa.models import Authenticator

    kinds = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    has = Authenticator.objects.filter(user_id=user_id, type__in=kinds).exists()
    User.objects.filter(pk=user_id).exclude(second_factor=has).update(second_factor=has)


def reset(*, actor: User, person: User, source_ip: str = "") -> None:
    """Take away every second factor of a person who lost theirs, and sign them out everywhere.

    Raises Refusal for a person who may do more than `actor`.
    """
    from allauth.mfa.models import Authenticator

    from dashboard.accounts.people import end_sessions

    refuse_take_over(actor, person)
    with transaction.atomic():
        Authenticator.objects.filter(user=person).delete()
        note(person.pk)
        record(
            actor=actor,
            action="second_factor.reset",
            phase="event",
            object_kind="person",
            object_key=str(person.pk),
            object_name=person.username,
            result="ok",
            source_ip=source_ip,
        )
    end_sessions(person)


def passkeys_work_here() -> bool:
    """Whether browsers allow passkeys at our address: https, or localhost; never an IP address."""
    public = urlsplit(settings.PUBLIC_URL)
    host = public.hostname or ""
    if host == "localhost":
        return True
    return public.scheme == "https" and not (":" in host or host.replace(".", "").isdecimal())


def codes_left(codes: Authenticator) -> int:
    """How many recovery codes were not used yet; known without unsealing them."""
    return int(settings.MFA_RECOVERY_CODE_COUNT) - int(codes.data.get("used_mask", 0)).bit_count()


def passkeys_of(person: User) -> list[Authenticator]:
    """A person's passkeys and security keys, oldest first."""
    from allauth.mfa.models import Authenticator

    mine = Authenticator.objects.filter(user=person, type=Authenticator.Type.WEBAUTHN)
    return list(mine.order_by("created_at"))
