"""People, what they were granted, their tokens and quotas, and the audit log of what they did."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, NoReturn

from django.contrib.auth.models import AbstractUser, Group, UserManager
from django.db import models
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.permissions import PERMISSIONS, ROLE_LABELS, ROLES


class People(UserManager["User"]):
    """Makes people, if wanted with a role on everything."""

    def create_user(self, username: str, email: str | None = None, password: str | None = None, **extra: Any) -> User:
        """`role`: the slug of a role that is granted on everything; none without it."""
        role = extra.pop("role", "")
        person = super().create_user(username, email, password, **extra)
        if role:
            Grant.objects.create(user=person, role=role)
        return person


class User(AbstractUser):
    """A person who signs in. What they may do stands in their grants and in those of their groups."""

    language = models.CharField(max_length=16, blank=True, default="")
    theme = models.CharField(max_length=8, blank=True, default="")
    """"light", "dark" or "" for the browser's own."""
    shortcuts = models.BooleanField(default=True)
    """Whether single keys do something: people who speak to their computer, or whose hand slips, turn them off."""
    second_factor = models.BooleanField(default=False, editable=False)
    """Whether this person has an authenticator app or a passkey; kept by `dashboard.accounts.signals`."""

    objects: ClassVar[UserManager[User]] = People()

    @cached_property
    def role(self) -> str:
        """The slug of the role that this person has on everything by a grant of their own; "" for none."""
        own = Grant.objects.filter(user=self, place=Grant.Where.EVERYTHING).values_list("role", flat=True)
        order = [*ROLES, ""]
        return max(own, key=lambda slug: order.index(slug) if slug in order else -1, default="")


class Role(models.Model):
    """A role that somebody made, or what was set for a built-in one (its permissions stand in `permissions.ROLES`)."""

    slug = models.SlugField(max_length=32, unique=True)
    name = models.CharField(max_length=64, blank=True, default="")
    permissions = models.JSONField(default=list)
    """Names of permissions; not used for built-in roles."""
    second_factor = models.BooleanField(default=False)
    """Whoever has this role anywhere must use a second factor."""

    class Meta:
        ordering: ClassVar[list[str]] = ["slug"]

    def __str__(self) -> str:
        return str(ROLE_LABELS.get(self.slug, self.name))

    @property
    def allows(self) -> frozenset[str]:
        """The permissions of the role."""
        return ROLES.get(self.slug, frozenset(self.permissions) & PERMISSIONS.keys())


class Grant(models.Model):
    """A role for a person or a group, on everything, a host, a tag or one guest."""

    class Where(models.TextChoices):
        """What a grant covers."""

        EVERYTHING = "everything", _("Everything")
        HOST = "host", _("A host")
        TAG = "tag", _("A tag")
        GUEST = "guest", _("A virtual machine")

    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="grants")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="grants")
    role = models.SlugField(max_length=32)
    """The slug of a built-in role or of one in the table of roles."""
    place = models.CharField(max_length=16, choices=Where.choices, default=Where.EVERYTHING)
    key = models.CharField(max_length=128, blank=True, default="")
    """Host: its id. Tag: the tag. Guest: "<host id>/<uuid>". Everything: empty."""
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        ordering: ClassVar[list[str]] = ["place", "key", "role"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(user__isnull=False, group__isnull=True)
                | models.Q(user__isnull=True, group__isnull=False),
                name="a_grant_is_a_persons_or_a_groups",
            ),
            models.UniqueConstraint(
                fields=["user", "role", "place", "key"],
                condition=models.Q(user__isnull=False),
                name="one_grant_a_person",
            ),
            models.UniqueConstraint(
                fields=["group", "role", "place", "key"],
                condition=models.Q(group__isnull=False),
                name="one_grant_a_group",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} on {self.place} {self.key}".strip()


class ApiToken(models.Model):
    """A key for scripts. Only its hash is kept; its right is what both its owner and its own scope allow."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, unique=True)
    """SHA-256 of the token, hexadecimal."""
    hint = models.CharField(max_length=16)
    """The token's first characters, by which people tell theirs apart."""
    role = models.SlugField(max_length=32, blank=True, default="")
    """Narrows to a role's permissions; empty: all that its owner has."""
    place = models.CharField(max_length=16, choices=Grant.Where.choices, default=Grant.Where.EVERYTHING)
    key = models.CharField(max_length=128, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    """Revoked tokens stay: jobs and the audit log name them."""
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_ip = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"


class SignIn(models.Model):
    """One sign-in from one browser. It stays for a while after its session ended: it tells which addresses are known."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_ins")
    session_key = models.CharField(max_length=40, db_index=True)
    ip = models.CharField(max_length=64, blank=True)
    user_agent = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(db_index=True)
    """The last request or sign of life, to the minute."""

    class Meta:
        ordering: ClassVar[list[str]] = ["-last_seen_at"]

    def __str__(self) -> str:
        return f"{self.user} from {self.ip}"


class PasswordLink(models.Model):
    """A one-time link by which a person sets a password that nobody else ever knew. Only its hash is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"for {self.user}"


class Counted(models.Model):
    """What sign-in counts and remembers for a while: failures, codes that were used. See `dashboard.accounts.counting`."""

    key = models.CharField(max_length=250, primary_key=True)
    value = models.JSONField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key


class Quota(models.Model):
    """The most that a person, or all members of a group together, may own. None: no limit."""

    user = models.OneToOneField(User, null=True, blank=True, on_delete=models.CASCADE, related_name="quota")
    group = models.OneToOneField(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="quota")
    guests = models.PositiveIntegerField(null=True, blank=True)
    vcpus = models.PositiveIntegerField(null=True, blank=True)
    memory_kib = models.BigIntegerField(null=True, blank=True)
    disk_bytes = models.BigIntegerField(null=True, blank=True)
    """Virtual size of the disks."""

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(user__isnull=False, group__isnull=True)
                | models.Q(user__isnull=True, group__isnull=False),
                name="a_quota_is_a_persons_or_a_groups",
            )
        ]

    def __str__(self) -> str:
        return str(self.user or self.group)


AUDIT_WORDS: dict[str, Any] = {
    "start": _("started"),
    "end": _("ended"),
    "event": "",
    "denied": _("Refused"),
    "ok": _("Done"),
    "succeeded": _("Done"),
    "failed": _("Failed"),
    "cancelled": _("Cancelled"),
    "needs_attention": _("Needs attention"),
    "wrong name or password": _("Wrong name or password"),
    "wrong code": _("Wrong code"),
    "wrong passkey": _("Wrong passkey"),
}
"""Phases and results of the audit log, which keeps short words that never change, as people read them."""


class AuditEntry(models.Model):
    """One line of the audit log: who did what to what, from where, with what result. Triggers refuse any change of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(User, null=True, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    """May lead nowhere: an entry outlives the person it names and is not changed when they are removed."""
    actor_name = models.CharField(max_length=150)
    action = models.CharField(max_length=64)
    """An operation's name ("guest.start") or an event of sign-in ("session.start")."""
    phase = models.CharField(max_length=16)
    """"start", "end" for jobs; "event" for all else; "denied" for what was refused."""
    object_kind = models.CharField(max_length=16, blank=True)
    object_key = models.CharField(max_length=128, blank=True)
    object_name = models.CharField(max_length=255, blank=True)
    host_name = models.CharField(max_length=255, blank=True)
    result = models.CharField(max_length=32, blank=True)
    source_ip = models.CharField(max_length=64, blank=True)
    job_id = models.UUIDField(null=True, db_index=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar[list[str]] = ["-at", "-id"]
        # Each filter of the page has one, newest first: it reads as many rows as it shows, however long the log is.
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-at", "-id"], name="audit_by_time"),
            models.Index(fields=["actor_name", "-at"], name="audit_by_person"),
            models.Index(fields=["action", "-at"], name="audit_by_action"),
            models.Index(fields=["object_key", "-at"], name="audit_by_object"),
            models.Index(fields=["object_name", "-at"], name="audit_by_object_name"),
            models.Index(fields=["host_name", "-at"], name="audit_by_host"),
            models.Index(fields=["result", "-at"], name="audit_by_result"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.object_name}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; an entry that exists is never changed."""
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: the log is append-only."""
        raise TypeError("the audit log is append-only")
