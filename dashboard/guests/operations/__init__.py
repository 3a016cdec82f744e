"""Every change that kvmweb makes to a guest, by theme. Importing this package registers them all."""

from __future__ import annotations

from dashboard.guests.operations import create, delete, describe, memory, power

__all__ = ["create", "delete", "describe", "memory", "power"]
