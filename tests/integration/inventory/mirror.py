"""The real monitor and the real web process around one database file, for tests: started, followed, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django

django.setup()  # a conftest named on the command line is read before pytest-django has done so

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from websockets.sync.client import ClientConnection, unix_connect

from dashboard.accounts.models import User
from dashboard.inventory import bus, credentials
from dashboard.inventory.models import Guest, Host
from tests.lab.database import Database
from tests.lab.hosts import LabHost
from tests.lab.redis import RedisServer

ROOT = Path(__file__).resolve().parents[3]
ORIGIN = "http://127.0.0.1:8000"


class Page:
    """An open page's WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.said: list[dict[str, Any]] = []

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def hears(self, wanted: Callable[[dict[str, Any]], object], seconds: float = 10) -> dict[str, Any]:
        """The next message that fits; those before it are kept in `said`."""
        until = time.monotonic() + seconds
        while True:
            try:
                message = json.loads(self.socket.recv(timeout=max(0.0, until - time.monotonic())))
            except TimeoutError:
                raise AssertionError(f"not heard within {seconds} s; heard {self.said[-20:]}") from None
            self.said.append(message)
            if wanted(message):
                return message

    def hears_guest(self, name: str, seconds: float = 10, **row: Any) -> dict[str, Any]:
        """The next message about a guest of this name whose row has these values."""
        return self.hears(
            lambda message: (
                message.get("m", {}).get("k") == "guest"
                and message["m"]["row"].get("name") == name
                and all(message["m"]["row"].get(key) == value for key, value in row.items())
            ),
            seconds,
        )["m"]

    def hears_nothing_about(self, name: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                message = json.loads(self.socket.recv(timeout=left))
            except TimeoutError:
                return
            assert message.get("m", {}).get("row", {}).get("name") != name, message


class Mirror:
    """One installation: its database, its processes, its people."""

    def __init__(self, state: Path, database: Database, redis: RedisServer) -> None:
        self.state, self.database, self.redis = state, database, redis
        self.folder = state.parent
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.pages = ExitStack()

    # -- processes

    def start(self, name: str, *argv: str, **env: str) -> subprocess.Popen[bytes]:
        fixed = {
            "KVMWEB_STATE_DIR": str(self.state),
            "KVMWEB_SECRET_KEY": settings.SECRET_KEY,
            "KVMWEB_ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
            "PYTHONUNBUFFERED": "1",
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *argv],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.database.env, **fixed, **env},
            )
        return self.processes[name]

    def monitor(self, **env: str) -> subprocess.Popen[bytes]:
        """Start the monitor and wait until it lives."""
        process = self.start("monitor", "manage.py", "monitor", **env)
        self.until(lambda: self.beats() or process.poll() is not None, 30, "the monitor lives")
        assert process.poll() is None, self.logs()
        return process

    def beats(self) -> bool:
        return bool(self.redis.answers() and bus.client().get(bus.HEARTBEAT))

    def web(self) -> None:
        """Start the web process on a UNIX socket."""
        self.start("web", "-m", "uvicorn", "kvmweb.asgi:application", "--uds", str(self.folder / "web.sock"))
        self.until((self.folder / "web.sock").exists, 30, "the web process listens")

    def end(self, name: str, sig: signal.Signals = signal.SIGTERM) -> None:
        process = self.processes.pop(name)
        process.send_signal(sig)
        process.wait(15)

    def stop(self) -> None:
        self.pages.close()
        for process in self.processes.values():
            process.kill()
            process.wait()
        if self.redis.process is None:
            self.redis.start()

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-6000:] for path in sorted(self.folder.glob("*.log")))

    def until(self, true: Callable[[], Any], seconds: float, what: str) -> Any:
        """Wait until it is true; what it gave."""
        end = time.monotonic() + seconds
        while True:
            found = true()
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"after {seconds} s still not: {what}\n{self.logs()}")
            time.sleep(0.02)

    # -- hosts and guests

    def add(self, lab_host: LabHost, name: str = "", transport: str = "local") -> Host:
        """Enrol a lab host."""
        host = Host(name=name or lab_host.name, transport=transport)
        if transport == "local":
            host.address = lab_host.socket
        elif transport == "ssh":
            host.address, host.user = lab_host.address, "root"
            host.host_keys = lab_host.known_hosts.read_text()
            credentials.store_secrets(host, private_key=lab_host.ssh_key.read_text())
        elif transport == "tcp":
            host.address, host.user = lab_host.address, "admin"
            credentials.store_secrets(host, password="labpass")
        host.save()
        bus.client().publish(bus.ASK, json.dumps({"host": host.pk, "what": "host", "uuid": ""}))
        return host

    def live(self, host: Host, seconds: float = 20) -> Host:
        """Wait until the host is live."""
        return self.status(host, "live", seconds)

    def status(self, host: Host, status: str, seconds: float = 20) -> Host:
        def found() -> Host | None:
            now = Host.objects.get(pk=host.pk)
            return now if now.status == status else None

        return self.until(found, seconds, f"{host} is {status}")

    def guest(self, uuid: str, seconds: float = 5, **values: Any) -> Guest:
        """Wait until the database has the guest with these values."""
        return self.until(
            lambda: Guest.objects.filter(uuid=uuid, **values).first(), seconds, f"guest {uuid} with {values}"
        )

    def gone(self, uuid: str, seconds: float = 5) -> None:
        self.until(lambda: not Guest.objects.filter(uuid=uuid).exists(), seconds, f"guest {uuid} is gone")

    # -- people and pages

    def person(self, name: str = "olga", role: str = "operator") -> User:
        return User.objects.create_user(name, role=role)

    def session(self, person: User) -> str:
        """A signed-in session's key."""
        store = SessionStore()
        store[SESSION_KEY] = str(person.pk)
        store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        store[HASH_SESSION_KEY] = person.get_session_auth_hash()
        store.create()
        return str(store.session_key)

    def open(self, session_key: str = "", *, origin: str | None = ORIGIN, since: str | None = None) -> Page:
        """Open a page's socket, signed in as a new operator if no session is given."""
        if not session_key:
            session_key = self.session(User.objects.filter(username="olga").first() or self.person())
        page = self.connect(session_key, origin=origin)
        page.say(since=self.last_id() if since is None else since)
        return page

    def connect(self, session_key: str, *, origin: str | None = ORIGIN, **more: Any) -> Page:
        headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session_key}"}
        address = f"{ORIGIN.replace('http', 'ws')}/live/"
        opening = unix_connect(
            str(self.folder / "web.sock"), address, origin=origin, additional_headers=headers, close_timeout=1, **more
        )
        return Page(self.pages.enter_context(opening))

    def last_id(self) -> str:
        from dashboard.inventory.publish import last_id

        return last_id()
