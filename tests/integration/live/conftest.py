"""The monitor and the web process, for real."""

from __future__ import annotations

from tests.integration.inventory.fixtures import migrated, mirror

__all__ = ["migrated", "mirror"]
