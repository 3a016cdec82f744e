"""The whole stack on a private libvirt host, with an administrator's session; started once for all parts that need it."""

from __future__ import annotations

import http.client
import json
import secrets
import sqlite3
import time
import uuid as uuids
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.bench.measure import BenchError, Helper, Run, children, command
from tests.bench.seeding import seed
from tests.e2e.stack import Stack
from tests.lab import guests
from tests.lab.hosts import Lab, LabHost, wait_for

_worlds: dict[int, World] = {}


def world(run: Run) -> World:
    """The run's one world."""
    if id(run) not in _worlds:
        _worlds[id(run)] = World(run)
    return _worlds[id(run)]


@dataclass
class World:
    """A lab host, the stack that manages it, and two helpers that use libvirt as others do."""

    run: Run

    def __post_init__(self) -> None:
        lab = Lab()
        self.run.ending.callback(lab.down)
        self.host: LabHost = lab.up(1)[0]
        self.idle = guests.define(self.host, "bench-idle", image=guests.idle_image(), start=True)
        self.off = guests.define(self.host, "bench-click", image=guests.idle_image())
        self.stack = Stack(self.host.socket)
        self.run.ending.callback(self.stack.stop)
        self.stack.start()
        self.session: str = seed(self.stack.env, "session")
        self.csrf = secrets.token_hex(16)
        self.authority = self.stack.url.partition("://")[2]
        wait_for(lambda: self.state(self.idle.uuid) == "running", seconds=30, saying="the mirror holds the guests")

    def bystanders(self) -> None:
        """Have both helpers there before anything happens."""
        assert self.actor
        assert self.listener

    @cached_property
    def actor(self) -> Helper:
        """Another process that changes guests by libvirt."""
        return Helper(self.run, "bystander", "act", self.host.socket)

    @cached_property
    def listener(self) -> Helper:
        """A third process, which only hears libvirt's events."""
        return Helper(self.run, "bystander", "listen", self.host.socket)

    @property
    def cookies(self) -> dict[str, str]:
        """What the administrator's browser holds."""
        return {"kvmweb": self.session, "kvmweb-csrf": self.csrf}

    def connect(self) -> http.client.HTTPConnection:
        """A connection to nginx."""
        return http.client.HTTPConnection(self.authority, timeout=60)

    def request(self, http_: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request as the page's scripts make it; (status, JSON)."""
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "X-CSRFToken": self.csrf,
            "Origin": self.stack.url,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        http_.request(method, path, None if body is None else json.dumps(body), headers)
        got = http_.getresponse()
        return got.status, json.loads(got.read() or b"null")

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read the stack's database, without disturbing it."""
        return ask(self.stack, sql, *values)

    def state(self, uuid: str) -> str:
        """A guest's state in the mirror."""
        found = self.ask("SELECT state FROM inventory_guest WHERE uuid = ?", uuids.UUID(uuid).hex)
        return str(found[0][0]) if found else ""

    @property
    def host_id(self) -> int:
        """The host's key in the mirror."""
        return int(self.ask("SELECT host_id FROM inventory_guest WHERE uuid = ?", uuids.UUID(self.idle.uuid).hex)[0][0])

    def wait_for_state(self, uuid: str, state: str) -> None:
        """Until the mirror says so and no job works on the guest."""
        active = "SELECT 1 FROM jobs_job WHERE object_key = ? AND state IN ('queued', 'running', 'undoing')"
        wait_for(lambda: self.state(uuid) == state and not self.ask(active, uuid), seconds=30, every=0.02, saying=f"{uuid} {state}")  # fmt: skip

    def process(self, words: str) -> int:
        """The process of the stack whose command line has these words."""
        return process_of(self.stack, words)

    def wait_for_event(self, uuid: str, lifecycle: str, since: float) -> float:
        """When the listener's callback heard of it."""
        return float(self.listener.tell("wait", uuid, lifecycle, since))

    def settle(self, seconds: float) -> None:
        """Leave everything alone."""
        time.sleep(seconds)


def process_of(stack: Stack, words: str) -> int:
    """The process of a stack whose command line has these words."""
    assert stack.process is not None
    for pid in children(stack.process.pid):
        if words in command(pid) and "respawn" not in command(pid):
            return pid
    raise BenchError(f"no process {words}")


def ask(stack: Stack, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Read a stack's database, without disturbing it."""
    return look(stack.state, sql, *values)


def look(state: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Read the database of a state folder, without disturbing it."""
    database = sqlite3.connect(f"file:{state}/kvmweb.sqlite3?mode=ro", uri=True, timeout=10)
    try:
        return database.execute(sql, values).fetchall()
    finally:
        database.close()


def moment(text: object) -> float:
    """A time as SQLite has it, in seconds."""
    return datetime.fromisoformat(str(text)).replace(tzinfo=UTC).timestamp()


def socket_path(world_: World, name: str) -> Path:
    """A UNIX socket of the stack."""
    return world_.stack.state / "run" / name
