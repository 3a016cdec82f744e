"""A private PostgreSQL on a UNIX socket, which tests may also kill and start again, and databases in it."""

from __future__ import annotations

import itertools
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import psycopg

from tests.lab.hosts import LabError, wait_for

OWNER = "kvmweb"
EMPTY = "postgres"
"""The database that each new cluster has; nothing is ever written to it."""
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
}
_names = itertools.count(1)


class PostgresServer:
    """One cluster in a folder of its own. `folder` of a running one: use that, which somebody else stops."""

    def __init__(self, folder: Path | None = None, parent: str = "/tmp") -> None:
        self.ours = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="kvmweb-pg-", dir=parent))
        self.process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make the cluster."""
        self.folder.chmod(0o700)
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root. The package has made its user; on a machine without, nobody will do.
            user = _unprivileged()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        argv = [program("initdb"), "-D", self.folder / "data", "-U", OWNER, "--auth=trust", "--no-sync"]
        argv += ["--encoding=UTF8", "--locale=C.UTF-8"]
        # Sorted as people sort, as most installations do: "b" between "A" and "C", where SQLite has it after both.
        argv += ["--locale-provider=icu", "--icu-locale=en-US"]
        made = subprocess.run([*self._as_user(), *argv], capture_output=True, text=True, check=False, cwd="/")
        if made.returncode:
            raise LabError(f"initdb failed:\n{made.stdout}{made.stderr}")

    def start(self, **settings: str) -> None:
        """Start it and wait until it answers; `settings` beside those of all tests."""
        if not (self.folder / "data").exists():
            self.make()
        argv: list[object] = [program("postgres"), "-D", self.folder / "data", "-k", self.folder]
        for name, value in {**SETTINGS, **settings}.items():
            argv += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._as_user(), *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
            )
        wait_for(self.answers, seconds=60, saying=f"PostgreSQL answers:\n{self.log()}")

    def _as_user(self) -> list[str]:
        """The words before a command: another user where we are root; TERM to it when we are gone."""
        guard = ["setpriv", "--pdeathsig", "INT"]
        if os.getuid() != 0:
            return [*guard, "--"]
        user = _unprivileged()
        return [*guard, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]

    def answers(self) -> bool:
        """True when it takes a connection."""
        try:
            with psycopg.connect(self.url(EMPTY), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def url(self, name: str) -> str:
        """What KVMWEB_DATABASE_URL says for a database of this server."""
        return f"postgresql://{OWNER}@/{quote(name)}?host={quote(str(self.folder))}"

    def create(self, template: str = "template0") -> str:
        """Make a database, empty or a copy of another; its name."""
        name = f"kvmweb_{os.getpid()}_{next(_names)}"
        with psycopg.connect(self.url(EMPTY), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        with psycopg.connect(self.url(EMPTY), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def log(self) -> str:
        """The end of what it wrote."""
        path = self.folder / "log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def kill(self) -> None:
        """Kill all of it at once, as a power cut would."""
        if self.process is not None:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            self.process.kill()
            for child in children:
                subprocess.run(["kill", "-KILL", child], check=False, capture_output=True)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """End it without waiting for anybody, and forget it."""
        if self.process is not None:
            self.process.send_signal(2)  # SIGINT: "fast shutdown"
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None
        if self.ours:
            shutil.rmtree(self.folder, ignore_errors=True)


def program(name: str) -> str:
    """Path of a program of the newest PostgreSQL here: Debian keeps the server's out of PATH."""
    found = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"),
        key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))],
    )
    on_path = shutil.which(name)
    if found:
        return str(found[-1])
    if on_path is None:
        raise LabError(f"PostgreSQL's {name} is missing (Debian: postgresql)")
    return on_path


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
