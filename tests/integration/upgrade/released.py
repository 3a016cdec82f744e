"""States of the database as releases left them: how one is written to a file, and how one is made from it again.

    python -m tests.integration.upgrade.released NAME     (make release-state NAME=0.2.0)

writes the present state: the newest one that there is, migrated, with what `seed.later` adds.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(__file__).with_name("states")
OURS = ("accounts", "inventory", "jobs", "guests")
KEPT = (*OURS, "auth", "sessions", "account", "mfa")
"""Apps whose rows are kept; Django makes permissions and content types anew by itself."""
SKIPPED = {"auth.permission"}

Rows = dict[str, list[dict[str, Any]]]


def states() -> list[Path]:
    """The released states, oldest first."""
    return sorted(FOLDER.glob("*.json"), key=lambda path: [int(part) for part in path.stem.split(".")])


def models_of(apps: Any) -> Iterator[Any]:
    """The models whose rows are kept, those that others point to first, with the tables between two models."""
    from django.core.serializers import sort_dependencies

    configs = [(config, None) for config in apps.get_app_configs() if config.label in KEPT]
    for model in sort_dependencies(configs, allow_cycles=True):
        if model._meta.label_lower not in SKIPPED:
            yield model
    for config, _ in configs:
        for model in config.get_models(include_auto_created=True):
            if model._meta.auto_created and "permission" not in model._meta.model_name:
                yield model


def rows_of(apps: Any) -> Rows:
    """Every row, as JSON keeps it."""
    from django.core.serializers.json import DjangoJSONEncoder

    found = {model._meta.label_lower: list(model._base_manager.order_by("pk").values()) for model in models_of(apps)}
    plain: Rows = json.loads(json.dumps(found, cls=DjangoJSONEncoder))
    return {name: rows for name, rows in plain.items() if rows}


def insert(apps: Any, rows: Rows) -> None:
    """Write the rows, with their keys."""
    from django.core.management.color import no_style
    from django.db import connection, transaction
    from django.db.models import DateTimeField

    written = []
    with transaction.atomic(), connection.constraint_checks_disabled():
        for model in models_of(apps):
            fields = {field.attname: field for field in model._meta.concrete_fields}
            for field in fields.values():
                if isinstance(field, DateTimeField):
                    field.auto_now = field.auto_now_add = False  # the times of the file count
            made = [
                model(**{name: fields[name].to_python(value) for name, value in row.items()})
                for row in rows.get(model._meta.label_lower, [])
            ]
            if made:
                model._base_manager.bulk_create(made, batch_size=500)
                written.append(model)
        for statement in connection.ops.sequence_reset_sql(no_style(), written):
            with connection.cursor() as cursor:
                cursor.execute(statement)


def migrate_to(targets: list[tuple[str, str]]) -> Any:
    """Bring the default database to exactly these migrations (none: the newest); the models of that state."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    wanted = targets or executor.loader.graph.leaf_nodes()
    executor.migrate([target for target in wanted if target in executor.loader.graph.nodes])
    executor = MigrationExecutor(connection)
    return executor.loader.project_state([t for t in wanted if t in executor.loader.graph.nodes]).apps


def load(path: Path) -> tuple[Any, Rows]:
    """Make the default database, which is empty, what that release left: its models and its rows."""
    state = json.loads(path.read_text(encoding="utf-8"))
    apps = migrate_to([(app, name) for app, name in state["migrations"].items()])
    insert(apps, state["rows"])
    return apps, state["rows"]


def fingerprints(names: list[str] | None = None) -> dict[str, str]:
    """SHA-256 of our migrations' files, all or those named: a released one never changes again."""
    found = names or [str(path.relative_to(ROOT)) for app in OURS for path in _migrations(app)]
    return {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in found}


def _migrations(app: str) -> list[Path]:
    return sorted((ROOT / "dashboard" / app / "migrations").glob("[0-9]*.py"))


def write(name: str, rows: Rows) -> Path:
    """Keep the present state of the default database under the release's name."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    leaves = {app: leaf for app, leaf in executor.loader.graph.leaf_nodes() if app in KEPT}
    path = FOLDER / f"{name}.json"
    lines = {"migrations": leaves, "files": fingerprints(), "rows": rows}
    path.write_text(json.dumps(lines, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    return path


def main() -> int:
    """Write the next released state."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"KVMWEB_STATE_DIR": folder, "DJANGO_SETTINGS_MODULE": "kvmweb.settings"}
        os.environ["KVMWEB_DATABASE_URL"] = ""
        import django

        django.setup()
        from django.db import connection

        from tests.integration.upgrade import seed

        load(states()[-1])
        apps = migrate_to([])
        seed.later(apps)
        path = write(sys.argv[1], rows_of(apps))
        connection.close()
    print(f"{path.relative_to(Path.cwd())}: {path.stat().st_size // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
