"""The monitor and the web process, for real."""

from __future__ import annotations

from tests.integration.inventory.fixtures import mirror

__all__ = ["mirror"]
