"""Which database the tests run on, and databases of their own for tests that start processes.

KVMWEB_TEST_DATABASE=postgresql makes it a private PostgreSQL for the whole run, shared by xdist's workers; else SQLite.
"""

from __future__ import annotations

import atexit
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.lab.postgres import PostgresServer

SHARED = "TEST_POSTGRES_FOLDER"
"""Where the server runs that another process of this run has started."""

_server: PostgresServer | None = None
_pid = os.getpid()


def begin(kind: str) -> str:
    """Start what the run needs; the value of KVMWEB_DATABASE_URL for Django in this process ("" for SQLite)."""
    global _server
    if kind in ("", "sqlite"):
        return ""
    if kind != "postgresql":
        raise SystemExit(f"KVMWEB_TEST_DATABASE: {kind!r} is neither sqlite nor postgresql")
    folder = os.environ.get(SHARED)
    _server = PostgresServer(Path(folder) if folder else None)
    if not folder:
        _server.start()
        os.environ[SHARED] = str(_server.folder)
        atexit.register(_end)
    return _server.url("kvmweb")


def _end() -> None:
    if _server is not None and os.getpid() == _pid:  # not in a fork of ours
        _server.stop()


def postgresql() -> bool:
    """Whether this run is on PostgreSQL."""
    return _server is not None


def server() -> PostgresServer:
    """The run's server."""
    assert _server is not None, "this run is on SQLite"
    return _server


@dataclass(frozen=True)
class Database:
    """One installation's database. `file`: SQLite's, in the state folder; `name`: PostgreSQL's, on the server `on`."""

    file: Path | None = None
    name: str = ""
    on: PostgresServer | None = None

    @property
    def url(self) -> str:
        """What KVMWEB_DATABASE_URL says; "" for SQLite."""
        return self.on.url(self.name) if self.on else ""

    @property
    def env(self) -> dict[str, str]:
        """What processes need in their environment beside KVMWEB_STATE_DIR."""
        return {"KVMWEB_DATABASE_URL": self.url}

    def _settings(self) -> dict[str, Any]:
        """As kvmweb's own settings make them, whatever this run is on."""
        from kvmweb.settings import database_of

        return database_of(self.url) | ({} if self.on else {"NAME": str(self.file)})

    def forget(self) -> None:
        """Remove it; a file goes with its folder."""
        if self.on:
            self.on.drop(self.name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else can write while the block runs; reading goes on."""
        if self.on:
            with psycopg.connect(self.url) as connection:
                for table in ("inventory_host", "inventory_guest"):
                    connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE".encode())
                yield
                connection.rollback()
            return
        assert self.file is not None
        with closing(sqlite3.connect(self.file, isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            yield
            lock.execute("ROLLBACK")

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Make it Django's default database in this process (all threads)."""
        from django.db import connections

        was, settings = connections["default"], connections.settings["default"]
        close_pool()
        connections.settings["default"] = {**settings, **self._settings()}
        connections["default"] = connections.create_connection("default")
        try:
            yield
        finally:
            connections["default"].close()
            close_pool()
            connections.settings["default"] = settings
            connections["default"] = was


def close_pool() -> None:
    """Close what this process keeps open to the default database."""
    from django.db import connection

    closing = getattr(connection, "close_pool", None)
    if closing is not None:
        connection.close()
        closing()


def fresh(state: Path, template: Database | None = None) -> Database:
    """A database for an installation in the folder `state`: empty, or a copy of `template`."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    if postgresql():
        return Database(name=server().create(template.name if template else "template0"), on=server())
    file = state / "kvmweb.sqlite3"
    if template is not None and template.file is not None:
        file.write_bytes(template.file.read_bytes())
    return Database(file=file)
