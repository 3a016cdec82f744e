"""What is done to people: adding, changing role, disabling, ending sessions, the first administrator."""

from __future__ import annotations

from secrets import token_urlsafe

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from dashboard.accounts import turns
from dashboard.accounts.access import forget
from dashboard.accounts.audit import record
from dashboard.accounts.giving import beyond, refuse_beyond, refuse_over
from dashboard.accounts.models import Grant, PasswordLink, User
from dashboard.accounts.permissions import ADMINISTRATOR
from dashboard.accounts.signals import rights_changed
from kvmweb.secrets import read_or_make

SETUP_TOKEN = settings.STATE_DIR / "secrets" / "setup-link"


class LastAdministrator(ValueError):
    """Refused: nobody would be left who may add people."""


def administrators() -> int:
    """How many people may sign in as administrator."""
    everything = Grant.objects.filter(place=Grant.Where.EVERYTHING, role=ADMINISTRATOR)
    own, groups = everything.values("user"), everything.values("group")
    return User.objects.filter(Q(pk__in=own) | Q(groups__in=groups), is_active=True).distinct().count()


def add_person(*, actor: User | None, username: str, password: str, role: str, source_ip: str = "") -> User:
    """Add a person who may sign in at once. Raises ValidationError for a weak password."""
    person = User(username=username)
    validate_password(password, person)
    person.set_password(password)
    if actor is not None:
        refuse_beyond(beyond(actor, role, Grant.Where.EVERYTHING, ""))
    with transaction.atomic():
        person.save()
        set_role(person, role, by=actor.get_username() if actor else "")
        record(
            actor=actor,
            action="person.add",
            phase="event",
            object_kind="person",
            object_key=str(person.pk),
            object_name=username,
            result="ok",
            source_ip=source_ip,
            detail={"role": role},
        )
    return person


def set_role(person: User, role: str, *, by: str = "") -> None:
    """Give the person this role on everything, in place of `person.role`; "" takes that away. Other grants stay."""
    on_everything = Grant.objects.filter(user=person, place=Grant.Where.EVERYTHING)
    forget(person)
    if person.role != role:
        on_everything.filter(role=person.role).delete()
    if role:
        on_everything.get_or_create(role=role, defaults={"user": person, "created_by": by})
    forget(person)


def change_person(*, actor: User, person: User, role: str, is_active: bool, source_ip: str = "") -> None:
    """Set a person's role and whether they may sign in. A disabled person's sessions and links end at once.

    Raises Refusal for a person who may do more than `actor`.
    """
    if role != person.role or is_active != person.is_active:
        refuse_over(actor, person)
    if role != person.role:
        refuse_beyond(beyond(actor, role, Grant.Where.EVERYTHING, ""))
    with transaction.atomic():
        turns.take("administrators")
        was = {"role": person.role, "is_active": person.is_active}
        person.is_active = is_active
        person.save(update_fields=["is_active"])
        if was["is_active"] != is_active:
            PasswordLink.objects.filter(user=person).delete()
        set_role(person, role, by=actor.get_username())
        if not administrators():
            raise LastAdministrator
        record(
            actor=actor,
            action="person.change",
            phase="event",
            object_kind="person",
            object_key=str(person.pk),
            object_name=person.username,
            result="ok",
            source_ip=source_ip,
            detail={"before": was, "after": {"role": role, "is_active": is_active}},
        )
    if not is_active:
        end_sessions(person)
    else:
        rights_changed.send(sender=User, user_id=person.pk)


def end_sessions(person: User) -> int:
    """Sign a person out everywhere; open pages and consoles follow within seconds. Returns how many ended."""
    keys = [
        session.session_key
        for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator()
        if session.get_decoded().get("_auth_user_id") == str(person.pk)
    ]
    Session.objects.filter(session_key__in=keys).delete()
    rights_changed.send(sender=User, user_id=person.pk)
    return len(keys)


def sign_out(*, actor: User, person: User, source_ip: str = "") -> int:
    """The same as an administrator's act, which is written down."""
    ended = end_sessions(person)
    record(
        actor=actor,
        action="person.sign_out",
        phase="event",
        object_kind="person",
        object_key=str(person.pk),
        object_name=person.username,
        result="ok",
        source_ip=source_ip,
        detail={"sessions": ended},
    )
    return ended


def setup_token() -> str:
    """The one-time token with which the first administrator is made; "" once there is one."""
    if administrators():
        SETUP_TOKEN.unlink(missing_ok=True)
        return ""
    return read_or_make(SETUP_TOKEN, lambda: token_urlsafe(32))


def setup_token_fits(token: str) -> bool:
    """Whether `token` may still make the first administrator."""
    known = setup_token()
    return bool(known) and constant_time_compare(known, token)


def spend_setup_token(token: str) -> bool:
    """Use the token up; of two who come at once with it, one is told that it was theirs."""
    if not setup_token_fits(token):
        return False
    try:
        SETUP_TOKEN.unlink()
    except FileNotFoundError:
        return False
    return True
