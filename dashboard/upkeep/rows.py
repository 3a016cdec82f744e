"""All rows of the database as JSON and back, on SQLite and PostgreSQL alike, in the shape of any migration there was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.core.management.color import no_style
from django.core.serializers import sort_dependencies
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import DateTimeField

APPS = ("accounts", "inventory", "jobs", "guests", "auth", "sessions", "account", "mfa")
"""Apps whose rows are kept; Django makes permissions and content types anew by itself."""
NEVER = {"auth.permission"}
BATCH = 500

Row = dict[str, Any]
Leaves = dict[str, str]
"""The newest migration of each app."""


def models_of(apps: Any) -> Iterator[Any]:
    """The models whose rows are kept, those that others point to first, then the tables between two models."""
    configs = [config for config in apps.get_app_configs() if config.label in APPS]
    for model in sort_dependencies([(config, None) for config in configs], allow_cycles=True):
        if model._meta.label_lower not in NEVER and model._meta.managed and not model._meta.proxy:
            yield model
    for config in configs:
        for model in config.get_models(include_auto_created=True):
            if model._meta.auto_created and "permission" not in model._meta.model_name:
                yield model


def read(apps: Any, *, using: str = DEFAULT_DB_ALIAS, without: Iterable[str] = ()) -> Iterator[tuple[str, Row]]:
    """Every row with its model's name, as JSON keeps it. `without`: models that are left out."""
    left_out = set(without)
    for model in models_of(apps):
        name = model._meta.label_lower
        if name in left_out:
            continue
        rows = model._base_manager.using(using).order_by("pk").values()
        for row in rows.iterator(chunk_size=BATCH):
            yield name, json.loads(json.dumps(row, cls=DjangoJSONEncoder))


def write(apps: Any, rows: Iterable[tuple[str, Row]], *, using: str = DEFAULT_DB_ALIAS) -> dict[str, int]:
    """Insert the rows with their keys, as `read` gave them; how many of each model. Raises KeyError for an unknown one."""
    connection = connections[using]
    known = {model._meta.label_lower: model for model in models_of(apps)}
    counts: dict[str, int] = {}
    waiting: list[Any] = []

    def flush() -> None:
        if waiting:
            type(waiting[0])._base_manager.using(using).bulk_create(waiting, batch_size=BATCH)
            waiting.clear()

    with transaction.atomic(using=using), connection.constraint_checks_disabled():
        for name, row in rows:
            if waiting and (type(waiting[0]) is not known[name] or len(waiting) >= BATCH):
                flush()
            waiting.append(_instance(known[name], row))
            counts[name] = counts.get(name, 0) + 1
        flush()
        # On SQLite the checks were off; on PostgreSQL they come at the end of the transaction, which may be far away.
        connection.check_constraints()
        touched = [known[name] for name in counts]
        for statement in connection.ops.sequence_reset_sql(no_style(), touched):
            with connection.cursor() as cursor:
                cursor.execute(statement)
    return counts


def _instance(model: Any, row: Row) -> Any:
    fields = {field.attname: field for field in model._meta.concrete_fields}
    for field in fields.values():
        if isinstance(field, DateTimeField):
            field.auto_now = field.auto_now_add = False  # the times that are given count
    return model(**{name: fields[name].to_python(value) for name, value in row.items()})


def leaves(using: str = DEFAULT_DB_ALIAS) -> Leaves:
    """The newest migrations that this version of kvmweb has."""
    return dict(MigrationExecutor(connections[using]).loader.graph.leaf_nodes())


def pending(using: str = DEFAULT_DB_ALIAS) -> int:
    """How many migrations the database lacks."""
    executor = MigrationExecutor(connections[using])
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def unknown(wanted: Leaves, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Those of the migrations that this version of kvmweb does not have: a newer one made them."""
    nodes = MigrationExecutor(connections[using]).loader.graph.nodes
    return [f"{app}.{name}" for app, name in wanted.items() if (app, name) not in nodes]


def migrate(
    wanted: Leaves | None = None, *, using: str = DEFAULT_DB_ALIAS, each: Callable[[], None] = lambda: None
) -> Any:
    """Bring the database to exactly these migrations (None: the newest); the models of that state.

    `each` is called after every migration.
    """
    executor = MigrationExecutor(
        connections[using], lambda action, *_: each() if action in ("apply_success", "unapply_success") else None
    )
    targets = list((leaves(using) if wanted is None else wanted).items())
    executor.migrate(targets)
    return MigrationExecutor(connections[using]).loader.project_state(targets).apps
