"""A house with consoles: people, a real libvirt host, the real gateway and the real serial process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest

django.setup()  # a conftest named on the command line is read before pytest-django has done so

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
from websockets.sync.client import ClientConnection, unix_connect

from dashboard.accounts.models import User
from dashboard.consoles import tickets
from dashboard.inventory.credentials import store_secrets
from dashboard.inventory.models import Guest, Host
from tests.lab import database, guests
from tests.lab.database import Database
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost, wait_for
from tests.lab.redis import RedisServer

ROOT = Path(__file__).resolve().parents[3]


class Session:
    """A signed-in person."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.store = SessionStore()
        self.store[SESSION_KEY] = str(user.pk)
        self.store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        self.store[HASH_SESSION_KEY] = user.get_session_auth_hash()
        self.store.save()

    @property
    def key(self) -> str:
        return str(self.store.session_key)

    @property
    def cookie(self) -> str:
        return f"{settings.SESSION_COOKIE_NAME}={self.key}"


class House:
    """Processes and people; `open` is what a browser does."""

    def __init__(self, folder: Path, own: Database) -> None:
        self.folder, self.database = folder, own
        self.run = folder / "run"
        self.issued: list[str] = []
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.user = User.objects.create_user(f"olga-{uuids.uuid4().hex[:6]}", password="correct horse", role="operator")
        self.session = Session(self.user)

    # Processes

    def start(self, name: str) -> None:
        """Start "console" or "serial" as the Procfile does, saying all it can."""
        argv = {
            "console": ["manage.py", "console_gateway"],
            "serial": [
                "-m", "uvicorn", "dashboard.consoles.serial:application", "--uds", str(self.run / "serial.sock"),
                "--workers", "1", "--loop", "uvloop", "--no-access-log", "--log-level", "warning",
                "--ws-max-size", "65536", "--ws-per-message-deflate", "false",
            ],
        }[name]  # fmt: skip
        env = {
            **os.environ,
            **self.database.env,
            "DJANGO_SETTINGS_MODULE": "kvmweb.settings_consoles",
            "KVMWEB_STATE_DIR": str(self.folder),
            "KVMWEB_ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
            "KVMWEB_SECRET_KEY": settings.SECRET_KEY,
            "KVMWEB_LOG_LEVEL": "DEBUG",
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *argv], cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT
            )
        wait_for(lambda: self._listens(name), seconds=30, saying=f"{name} listens:\n{self.log(name)}")

    def _listens(self, name: str) -> bool:
        import socket

        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.run / f"{name}.sock"))
            except OSError:
                return False
        return True

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(20)

    def children(self, name: str) -> list[int]:
        """Pids of the consoles of a process."""
        pid = self.processes[name].pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name, signal.SIGTERM)

    # People and guests

    def person(self, role: str) -> Session:
        user = User.objects.create_user(f"{role}-{uuids.uuid4().hex[:6]}", password="correct horse", role=role)
        return Session(user)

    def host(self, lab_host: LabHost, transport: str = "local") -> Host:
        """The lab host as enrolled: "local", "ssh" (by key) or "ssh-password"."""
        fields: dict[str, Any] = {"transport": transport.partition("-")[0], "status": "live"}
        if transport == "local":
            fields["address"] = lab_host.socket
        else:
            fields |= {"address": lab_host.address, "user": "root", "host_keys": lab_host.known_hosts.read_text()}
        host = Host(name=f"{lab_host.name}-{transport}-{uuids.uuid4().hex[:6]}", **fields)
        if transport == "ssh":
            store_secrets(host, private_key=lab_host.ssh_key.read_text())
        if transport == "ssh-password":
            store_secrets(host, password="rootpass")
        host.save()
        return host

    def guest(self, lab_guest: LabGuest, host: Host) -> Guest:
        """A lab guest as mirrored."""
        return Guest.objects.create(host=host, uuid=lab_guest.uuid, name=lab_guest.name, state="running")

    # What a browser does

    def ticket(self, guest: Guest, kind: str = "vnc", session: Session | None = None, **changes: Any) -> str:
        session = session or self.session
        fields: dict[str, Any] = {
            "user": session.user.pk,
            "session": tickets.digest(session.key),
            "host": guest.host_id,
            "uuid": str(guest.uuid),
            "kind": kind,
            "permission": "guest.console",
            "view_only": False,
        }
        token = tickets.issue(tickets.Ticket(**fields | changes))
        self.issued.append(token)
        return token

    def connect(
        self,
        token: str,
        kind: str = "vnc",
        *,
        session: Session | None = None,
        origin: str | None = None,
        headers: dict[str, str] | None = None,
        path: str = "",
    ) -> ClientConnection:
        socket = self.run / {"vnc": "console.sock", "serial": "serial.sock"}[kind]
        return unix_connect(
            str(socket),
            uri=f"ws://kvmweb{path or tickets.PATHS[kind]}",
            origin=settings.PUBLIC_URL if origin is None else (origin or None),  # type: ignore[arg-type]
            subprotocols=["binary", f"ticket.{token}"],  # type: ignore[list-item]
            additional_headers=headers if headers is not None else {"Cookie": (session or self.session).cookie},
            open_timeout=20,
            close_timeout=5,
            max_size=None,
            legacy=True,
        )

    def open(self, guest: Guest, kind: str = "vnc", session: Session | None = None, **changes: Any) -> ClientConnection:
        return self.connect(self.ticket(guest, kind, session, **changes), kind, session=session)


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, django_db_blocker: Any
) -> Iterator[House]:
    """One house for a module's tests, without a running process yet."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "run").mkdir()
    with redis_server.client() as client:
        client.flushall()
    own = database.fresh(folder)
    with django_db_blocker.unblock(), own.as_default():
        call_command("migrate", verbosity=0)
        made = House(folder, own)
        try:
            yield made
        finally:
            made.stop()
    own.forget()


@pytest.fixture(scope="module")
def gateway(house: House) -> House:
    """The house with a running console gateway."""
    house.start("console")
    return house


@pytest.fixture(scope="module")
def serial(house: House) -> House:
    """The house with a running serial process."""
    house.start("serial")
    return house


@pytest.fixture(scope="module")
def idle_guest(lab_host: LabHost, idle_image: Path) -> Iterator[LabGuest]:
    """One idle guest with VNC for a module's tests."""
    guest = guests.define(lab_host, f"screen-{uuids.uuid4().hex[:6]}", image=idle_image)
    yield guest
    guest.remove()


@pytest.fixture
def screen(gateway: House, lab_host: LabHost, idle_guest: LabGuest) -> tuple[LabGuest, Guest]:
    """A running guest with VNC, as it is and as it is mirrored."""
    if idle_guest.virsh("domstate") != "running":
        idle_guest.virsh("start")
    return idle_guest, gateway.guest(idle_guest, gateway.host(lab_host))
