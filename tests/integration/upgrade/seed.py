"""One row for each table that a released state knows nothing of, so that the next state holds something of everything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import models

from dashboard.upkeep.rows import models_of

THEN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def later(apps: Any) -> list[str]:
    """Fill what is empty; the names of the tables' models."""
    filled = []
    for model in models_of(apps):
        if model._base_manager.exists():
            continue
        row = model(**_values(model))
        model._base_manager.bulk_create([row])
        filled.append(model._meta.label_lower)
    return filled


def _values(model: Any) -> dict[str, Any]:
    """A value for each column; of several keys to others that may be empty, the first is given."""
    found: dict[str, Any] = {}
    owned = False
    for field in model._meta.concrete_fields:
        if isinstance(field, models.AutoField | models.BigAutoField):
            continue
        if isinstance(field, models.ForeignKey):
            if field.null and owned:
                continue
            found[field.attname] = field.related_model._base_manager.order_by("pk").values_list("pk", flat=True).first()
            owned = owned or (field.null and found[field.attname] is not None)
        elif isinstance(field, models.DateTimeField):
            found[field.attname] = THEN
        elif field.choices:
            found[field.attname] = field.choices[0][0]
        elif field.has_default():
            found[field.attname] = field.get_default()
        elif isinstance(field, models.CharField | models.TextField):
            found[field.attname] = f"some {field.name}"[: field.max_length]
        elif isinstance(field, models.JSONField):
            found[field.attname] = {"some": field.name}
        elif isinstance(field, models.UUIDField):
            found[field.attname] = "6b1d3c1e-2f0b-4a55-8f3e-000000000001"
        else:
            found[field.attname] = 1
    return found
