"""An installation for tests of backup and restore: a state folder, a database, and its manage.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.lab import database
from tests.lab.database import Database

ROOT = Path(__file__).resolve().parents[3]


class Installation:
    """`kind`: sqlite or postgresql; the run's own without it."""

    def __init__(self, folder: Path, own: Database | None = None, kind: str = "") -> None:
        self.state = folder
        self.state.mkdir(parents=True, exist_ok=True)
        self.database = own or (
            Database(file=folder / "kvmweb.sqlite3") if kind == "sqlite" else database.fresh(folder)
        )

    @property
    def env(self) -> dict[str, str]:
        """What its processes find in their environment."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith("KVMWEB_")}
        redis = {"KVMWEB_REDIS_URL": os.environ["KVMWEB_REDIS_URL"]}
        return {**outside, **redis, **self.database.env, "KVMWEB_STATE_DIR": str(self.state), "KVMWEB_LOCAL_HOST": "0"}

    def manage(self, *argv: object, **more: str) -> subprocess.CompletedProcess[str]:
        """Run manage.py; what it said."""
        return subprocess.run(
            [sys.executable, "manage.py", *map(str, argv)],
            cwd=ROOT,
            env={**self.env, **more},
            capture_output=True,
            text=True,
            timeout=150,
        )

    def done(self, *argv: object, **more: str) -> str:
        """Run manage.py, which must succeed."""
        asked = self.manage(*argv, **more)
        assert asked.returncode == 0, asked.stdout + asked.stderr
        return asked.stdout

    def refused(self, *argv: object, **more: str) -> str:
        """Run manage.py, which must refuse in plain words."""
        asked = self.manage(*argv, **more)
        assert asked.returncode == 1, asked.stdout + asked.stderr
        assert "Traceback" not in asked.stderr
        return asked.stderr
