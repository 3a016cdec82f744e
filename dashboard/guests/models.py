"""What only kvmweb knows of guests: their notes, searches that people keep, how each person likes the list."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from dashboard.inventory.models import Guest


class GuestNotes(models.Model):
    """Notes on a guest, in Markdown."""

    guest = models.OneToOneField(Guest, on_delete=models.CASCADE, related_name="notes")
    text = models.TextField(blank=True, default="")
    changed_at = models.DateTimeField(auto_now=True)
    changed_by = models.CharField(max_length=150, blank=True, default="")

    def __str__(self) -> str:
        return self.text[:60]


class SavedSearch(models.Model):
    """A search of the list that somebody keeps, for themselves or for everybody."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="searches")
    name = models.CharField(max_length=64)
    query = models.CharField(max_length=500)
    shared = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["owner", "name"], name="one_search_per_owner_and_name")
        ]

    def __str__(self) -> str:
        return self.name


class ListTaste(models.Model):
    """How a person likes the list of guests."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="list_taste")
    columns = models.JSONField(default=list)
    """Keys of the columns that are shown, in order; empty: the usual ones."""
    view = models.CharField(max_length=16, blank=True, default="")
    """"screens" for the thumbnails, "" for the table."""

    def __str__(self) -> str:
        return f"list of {self.user_id}"
