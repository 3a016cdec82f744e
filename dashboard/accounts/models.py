"""People and the audit log of what they did."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, NoReturn

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.permissions import ROLE_LABELS, VIEWER


class User(AbstractUser):
    """A person who signs in. Their built-in role decides what they may do to everything."""

    role = models.CharField(max_length=32, choices=list(ROLE_LABELS.items()), default=VIEWER)
    language = models.CharField(max_length=16, blank=True, default="")
    theme = models.CharField(max_length=8, blank=True, default="")
    """"light", "dark" or "" for the browser's own."""


AUDIT_WORDS: dict[str, Any] = {
    "start": _("started"),
    "end": _("ended"),
    "event": "",
    "denied": _("refused"),
    "ok": _("Done"),
    "succeeded": _("Done"),
    "failed": _("Failed"),
    "cancelled": _("Cancelled"),
    "needs_attention": _("Needs attention"),
    "wrong name or password": _("Wrong name or password"),
}
"""Phases and results of the audit log, which keeps short words that never change, as people read them."""


class AuditEntry(models.Model):
    """One line of the append-only audit log: who did what to what, from where, with what result."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False)
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
        ordering: ClassVar[list[str]] = ["-at"]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.object_name}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; an entry that exists is never changed."""
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: the log is append-only."""
        raise TypeError("the audit log is append-only")

    @property
    def phase_text(self) -> str:
        """The phase in the reader's language; "" where it says nothing."""
        return str(AUDIT_WORDS.get(self.phase, self.phase))

    @property
    def result_text(self) -> str:
        """The result in the reader's language."""
        return str(AUDIT_WORDS.get(self.result, self.result))
