"""Whose rights change when a grant, a group or a role does: their pages and consoles look again, their links end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete
from django.dispatch import receiver

from dashboard.accounts.models import Grant, PasswordLink, Role, User
from dashboard.accounts.signals import rights_changed


def tell(people: Iterable[int]) -> None:
    """Say it of each of these people once the change is committed.

    An open password link ends with it: whoever made it was asked whether they may do as much as the person did then.
    """
    concerned = sorted(set(people))
    if concerned:
        PasswordLink.objects.filter(user__in=concerned).delete()
        transaction.on_commit(lambda: _tell(concerned), robust=True)


def _tell(people: Iterable[int]) -> None:
    for pk in people:
        rights_changed.send(sender=User, user_id=pk)


def with_role(slug: str) -> list[int]:
    """Everybody who has this role anywhere, by themselves or through a group."""
    grants = Grant.objects.filter(role=slug)
    own, groups = grants.values("user"), grants.values("group")
    return list(User.objects.filter(Q(pk__in=own) | Q(groups__in=groups)).values_list("pk", flat=True).distinct())


@receiver([post_save, post_delete], sender=Grant)
def _grant_changed(sender: Any, instance: Grant, **kwargs: Any) -> None:
    if instance.user_id is not None:
        tell([instance.user_id])
    else:
        tell(User.objects.filter(groups=instance.group_id).values_list("pk", flat=True))


@receiver([post_save, post_delete], sender=Role)
def _role_changed(sender: Any, instance: Role, **kwargs: Any) -> None:
    tell(with_role(instance.slug))


@receiver(m2m_changed, sender=User.groups.through)
def _members_changed(instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **kwargs: Any) -> None:
    """People joined or left; before a "clear" they are still there to be asked for."""
    if action == "pre_clear" and reverse:
        tell(instance.user_set.values_list("pk", flat=True))
    elif action in ("post_add", "post_remove", "post_clear") and not reverse:
        tell([instance.pk])
    elif action in ("post_add", "post_remove"):
        tell(pk_set or ())


@receiver(pre_delete, sender=Group)
def _group_goes(sender: Any, instance: Group, **kwargs: Any) -> None:
    tell(list(instance.user_set.values_list("pk", flat=True)))
