"""Registers the live room with Django."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig


def _tell(*, user_id: int, **kwargs: Any) -> None:
    """Have that person's open pages look at their rights again at once."""
    from dashboard.inventory.publish import publish

    publish({"k": "rights", "user": user_id})


class LiveConfig(AppConfig):
    """The live room."""

    name = "dashboard.live"
    label = "live"

    def ready(self) -> None:
        """Hear of people whose rights changed."""
        from dashboard.accounts.signals import rights_changed

        rights_changed.connect(_tell, dispatch_uid="live")
