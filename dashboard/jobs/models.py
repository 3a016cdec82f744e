"""The job table: the truth about every change, whatever Celery or Redis remember."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.access import Place
from dashboard.accounts.models import ApiToken
from dashboard.inventory.models import Guest, Host

PARENT = ""
"""The queue of a job that only stands for its children: no worker's."""
MANY = "many"
"""The queue of children: their own hands, so that a click need not wait for them."""


class Job(models.Model):
    """One run of an operation. A partial unique index allows one active job for each locked object."""

    class State(models.TextChoices):
        """Where the job stands. The last four are final."""

        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Running")
        UNDOING = "undoing", _("Undoing")
        SUCCEEDED = "succeeded", _("Done")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")
        NEEDS_ATTENTION = "needs_attention", _("Needs attention")

    ACTIVE: ClassVar[tuple[str, ...]] = (State.QUEUED, State.RUNNING, State.UNDOING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(max_length=128, null=True, blank=True)  # noqa: DJ001 - unique where given
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    """The job for many objects that this one belongs to."""
    operation = models.CharField(max_length=64)
    queue = models.CharField(max_length=16, default="actions")
    """Whose hands run it: "actions", "slow", or "many" for the children of a parent, which itself has none ("")."""
    host = models.ForeignKey(Host, null=True, on_delete=models.SET_NULL, related_name="jobs")
    host_name = models.CharField(max_length=63, blank=True, default="")
    object_kind = models.CharField(max_length=16, blank=True, default="")
    """"guest", "host", "pool", "network", "" or, for the parent of many jobs, "guests"."""
    object_key = models.CharField(max_length=128, blank=True, default="")
    """A guest's, pool's or network's UUID; a host's id."""
    object_name = models.CharField(max_length=255, blank=True, default="")
    lock = models.CharField(max_length=160, blank=True, default="")
    """What no second active job may hold ("guest:3:UUID"); empty: nothing."""
    params = models.JSONField(default=dict)
    plan = models.JSONField(default=dict)
    """UUIDs, MACs and volume names, fixed before the first side effect."""
    virsh = models.TextField(blank=True, default="")
    """The equivalent command lines, for copying."""

    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED, db_index=True)
    step = models.PositiveIntegerField(default=0)
    """Index of the step that runs or runs next."""
    steps = models.JSONField(default=list)
    """Labels of the steps, for the drawer."""
    progress = models.FloatField(null=True)
    """0 to 1; None: not known."""
    message = models.CharField(max_length=255, blank=True, default="")
    """English; a translation's key where it has one, as are `error`, `steps`, `leftovers` and the log's lines."""
    message_values = models.JSONField(default=dict)
    error_code = models.CharField(max_length=32, blank=True, default="")
    error = models.TextField(blank=True, default="")
    """In plain words, what to do."""
    error_values = models.JSONField(default=dict)
    error_detail = models.TextField(blank=True, default="")
    """libvirt's own words."""
    leftovers = models.JSONField(default=list)
    """What undo could not remove, [text, values] each; makes the job need attention."""
    result = models.JSONField(default=dict)
    """What the operation found or made, for the page ({"uuid": …}, check results, …)."""

    attempt = models.PositiveIntegerField(default=0)
    """Fencing number: a writer with an older one writes nothing."""
    holder = models.CharField(max_length=128, blank=True, default="")
    """Which worker process holds it (see `lease.ME`); empty: handed over or never held."""
    lease_until = models.DateTimeField(null=True)
    crashes = models.PositiveIntegerField(default=0)
    """How often its worker died at this very step."""
    cancel_requested = models.BooleanField(default=False)
    rung_at = models.DateTimeField(null=True)

    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="jobs")
    created_by_name = models.CharField(max_length=150, blank=True, default="")
    token = models.ForeignKey(ApiToken, null=True, on_delete=models.SET_NULL, related_name="+")
    """The token with which it was asked for: its scope narrows what the job may do, too."""
    source_ip = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["object_key", "-created_at"], name="jobs_of_an_object"),
            models.Index(fields=["parent", "state"], name="children_by_state"),
            models.Index(
                fields=["host", "parent", "created_at"],
                condition=models.Q(queue=MANY, state="queued"),
                name="children_that_wait",
            ),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["lock"],
                condition=models.Q(state__in=("queued", "running", "undoing")) & ~models.Q(lock=""),
                name="one_active_job_per_lock",
            ),
            models.UniqueConstraint(
                fields=["created_by", "idempotency_key"],
                condition=models.Q(idempotency_key__isnull=False),
                name="one_job_per_idempotency_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.object_name}".strip()

    @property
    def is_parent(self) -> bool:
        """Whether it only stands for its children."""
        return self.queue == PARENT

    @property
    def place(self) -> Place:
        """What rights on it are asked for: those on the object that it changes."""
        if self.object_kind != "guest" or self.host_id is None:
            return Place(host=self.host_id)
        found = Guest.objects.filter(host_id=self.host_id, uuid=self.object_key).values_list("tags", flat=True).first()
        return Place(host=self.host_id, guest=self.object_key, tags=tuple(found or ()))


class Ownership(models.Model):
    """Whose quota a guest counts against: whoever made it. Reserved with the job that makes it, before any side effect."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="owned")
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="+")
    uuid = models.UUIDField()
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="reserved")
    """The job that makes it; while it is active this is a reservation."""
    vcpus = models.PositiveIntegerField(default=0)
    memory_kib = models.BigIntegerField(default=0)
    disk_bytes = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["host", "uuid"], name="one_owner_per_guest")
        ]

    def __str__(self) -> str:
        return f"{self.uuid} of {self.user_id}"


class JobLine(models.Model):
    """One line of a job's log."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="lines")
    at = models.DateTimeField(auto_now_add=True)
    level = models.CharField(max_length=8, default="info")
    """info, warning or error"""
    text = models.TextField()
    """English; the key of its translation where it has one."""
    values = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar[list[str]] = ["id"]

    def __str__(self) -> str:
        return self.text
