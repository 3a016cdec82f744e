"""States of the database as releases left them: how one is written to a file, and how one is made from it again.

    python -m tests.integration.upgrade.released [NAME]     (make release-state)

writes the present state under kvmweb's version: the newest one that there is, migrated, with what `seed.later` adds.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from dashboard.upkeep import rows
from kvmweb import __version__

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(__file__).with_name("states")
OURS = ("accounts", "inventory", "jobs", "guests")

Rows = dict[str, list[dict[str, Any]]]


def states() -> list[Path]:
    """The released states, oldest first."""
    return sorted(FOLDER.glob("*.json"), key=lambda path: [int(part) for part in path.stem.split(".")])


def rows_of(apps: Any) -> Rows:
    """Every row, by model."""
    found: Rows = {}
    for name, row in rows.read(apps):
        found.setdefault(name, []).append(row)
    return found


def insert(apps: Any, given: Rows) -> None:
    """Write the rows, with their keys."""
    rows.write(apps, ((name, row) for name, some in given.items() for row in some))


def load(path: Path) -> tuple[Any, Rows]:
    """Make the default database, which is empty, what that release left: its models and its rows."""
    state = json.loads(path.read_text(encoding="utf-8"))
    apps = rows.migrate(state["migrations"])
    insert(apps, state["rows"])
    return apps, state["rows"]


def fingerprints(names: list[str] | None = None) -> dict[str, str]:
    """SHA-256 of our migrations' files, all or those named: a released one never changes again."""
    found = names or [str(path.relative_to(ROOT)) for app in OURS for path in _migrations(app)]
    return {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in found}


def _migrations(app: str) -> list[Path]:
    return sorted((ROOT / "dashboard" / app / "migrations").glob("[0-9]*.py"))


def write(name: str, given: Rows) -> Path:
    """Keep the present state of the default database under the release's name, once and for all."""
    path = FOLDER / f"{name}.json"
    if not re.fullmatch(r"\d+(\.\d+)*", name):
        raise SystemExit(f"{name!r} is no release. Put the version of the release into kvmweb/__init__.py first.")
    if path.exists():
        raise SystemExit(
            f"{path.name} is there. What was released never changes: give the next release another version."
        )
    state = {"migrations": rows.leaves(), "files": fingerprints(), "rows": given}
    path.write_text(json.dumps(state, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    return path


def main() -> int:
    """Write the next released state."""
    name = sys.argv[1] if len(sys.argv) > 1 else __version__
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"KVMWEB_STATE_DIR": folder, "DJANGO_SETTINGS_MODULE": "kvmweb.settings"}
        os.environ["KVMWEB_DATABASE_URL"] = ""
        import django

        django.setup()
        from django.db import connection

        from tests.integration.upgrade import seed

        load(states()[-1])
        apps = rows.migrate()
        seed.later(apps)
        path = write(name, rows_of(apps))
        connection.close()
    print(f"{path.relative_to(Path.cwd())}: {path.stat().st_size // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
