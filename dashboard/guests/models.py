"""What only kvmweb knows of a guest: its notes."""

from __future__ import annotations

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
