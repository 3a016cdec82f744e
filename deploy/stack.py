"""Starts all processes of the Procfile under honcho, says when they answer, and ends them all together.

`make run` ends here; tests start the same thing on a state folder and port of their own:

    KVMWEB_STATE_DIR=/some/folder KVMWEB_LISTEN=127.0.0.1:8123 .venv/bin/python deploy/stack.py
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import http.client
import os
import queue
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import honcho.manager  # noqa: E402
from honcho.environ import parse_procfile  # noqa: E402
from honcho.printer import Printer  # noqa: E402

from deploy import nginx, orphans  # noqa: E402
from deploy.screen import SCREEN  # noqa: E402
from kvmweb import address, env  # noqa: E402

LIBVIRT_DAEMONS = {"virtlogd": "/run/libvirt/virtlogd-sock", "libvirtd": "/run/libvirt/libvirt-sock"}
SOCKETS = ("redis.sock", "web.sock", "console.sock", "serial.sock")
LOG_LIMIT = 20 * 2**20
LAST = {"redis", *LIBVIRT_DAEMONS}  # the others need these until they have ended

honcho.manager.multiprocessing = SimpleNamespace(Queue=queue.Queue)  # threads, see Manager
honcho.manager.KILL_WAIT = 15  # deploy/respawn itself gives 8 s between TERM and KILL


class Manager(honcho.manager.Manager):  # type: ignore[misc]
    """honcho's manager with a thread instead of a fork for each process, and an order in which they end.

    A fork for each would cost 4 MiB for each and outlive a killed honcho. deploy/respawn asks the kernel to be told when
    the thread that started it ends, which is when honcho does, however it does.
    """

    def __init__(self, once_started: Callable[[], None]) -> None:
        super().__init__(Printer(SCREEN))
        self._terminating = False
        self._once_started = once_started

    def _start(self) -> None:
        for process in self._processes.values():
            threading.Thread(target=process["obj"].run, args=(self.events,), daemon=True).start()
        threading.Thread(target=self._once_started, daemon=True).start()

    def terminate(self) -> None:
        """End the processes, those that others need last."""
        if not self._terminating:
            self._terminating = True
            threading.Thread(target=self._end_in_order, daemon=True).start()

    def _end_in_order(self) -> None:
        say("", "kvmweb stops; virtual machines keep running.")
        told = set()
        for last in (False, True):
            group = {name: process for name, process in self._processes.items() if (name in LAST) is last}
            deadline = time.monotonic() + 12
            while time.monotonic() < deadline and any("returncode" not in process for process in group.values()):
                for name, process in group.items():
                    if "pid" in process and name not in told:
                        told.add(name)
                        self._procmgr.terminate(process["pid"])
                time.sleep(0.05)

    def _system_print(self, data: str) -> None:
        if env.text("KVMWEB_LOG_LEVEL").upper() == "DEBUG":
            super()._system_print(data)


def say(*lines: str) -> None:
    """Print lines to the person at the terminal, in one piece."""
    SCREEN.write("\n".join(lines) + "\n")


def answers(path: str) -> bool:
    """Whether something listens on a UNIX socket, as far as we are allowed to know."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(path)
        except PermissionError:
            return bool(listeners(path))
        except OSError:
            return False
        return True


def listeners(path: str) -> list[str]:
    """The lines about a socket in the kernel's list; a file that a dead process left behind has none."""
    lines = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.endswith(f" {path}")]


def check_port() -> None:
    """Stop with a sentence when the port is taken."""
    host, port = address.listen()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = "another program uses it" if error.errno == errno.EADDRINUSE else error.strerror
            raise env.SettingError(
                f"Can't listen on {host} port {port}: {reason}. Choose another, like KVMWEB_LISTEN=127.0.0.1:8001 make run"
            ) from error


def check_socket_paths(run: Path) -> None:
    """Stop with a sentence when the state folder's path is too long for UNIX sockets (107 bytes)."""
    if len(os.fsencode(run / "console.sock")) > 107:
        raise env.SettingError(
            f"The path of the state folder is too long for UNIX sockets: {run}. Set KVMWEB_STATE_DIR."
        )


def lock(run: Path) -> int:
    """Hold the state folder for this stack alone; the lock goes with the process."""
    descriptor = os.open(run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise env.SettingError(f"kvmweb runs already with the state folder {run.parent}.") from error
    return descriptor


def environment(state: Path, run: Path) -> dict[str, str]:
    """What the processes get: the settings as given, tools on PATH, and small heaps."""
    values = dict(os.environ)
    values.pop("PYTHONDONTWRITEBYTECODE", None)
    values |= {
        "PATH": f"{Path(sys.executable).parent}:{values.get('PATH', '')}:/usr/sbin:/sbin",
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "kvmweb.settings",
        "KVMWEB_STATE_DIR": str(state),
        "KVMWEB_RUN_DIR": str(run),
        "KVMWEB_LOG_DIR": str(state / "log"),
        # glibc gives every thread a heap of its own: two are enough, and half the memory.
        "MALLOC_ARENA_MAX": values.get("MALLOC_ARENA_MAX", "2"),
        "OPENBLAS_NUM_THREADS": "1",
    }
    return values


def wanted() -> dict[str, str]:
    """The Procfile's lines, without those that something else does here."""
    lines: dict[str, str] = dict(parse_procfile((ROOT / "Procfile").read_text(encoding="utf-8")).processes)
    if env.text("KVMWEB_REDIS_URL"):
        del lines["redis"]
    for name in LIBVIRT_DAEMONS:
        if not starts(name):
            del lines[name]
    return lines


def starts(daemon: str) -> bool:
    """Whether a daemon of libvirt is ours to start: wanted, at its usual place, silent, and no systemd for it."""
    if not env.boolean("KVMWEB_LOCAL_HOST") or env.text("KVMWEB_LIBVIRT_SOCKET"):
        return False
    if Path("/run/systemd/system").is_dir() or not shutil.which(daemon, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        return False
    return not answers(LIBVIRT_DAEMONS[daemon])


def rotate(log: Path) -> None:
    """Keep one older access log, so that the folder does not grow for ever."""
    path = log / "access.log"
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.replace(path.with_suffix(".log.1"))


def ready() -> bool:
    """Whether the web process answers through nginx."""
    host, port = address.listen()
    where = "localhost" if host in address.EVERY_ADDRESS else host
    connection = http.client.HTTPConnection(where, port, timeout=5)
    if address.certificate():
        # Our own nginx, asked under another name than people use: whose certificate it is does not matter here.
        unchecked = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(where, port, timeout=5, context=unchecked)
    try:
        connection.request("GET", "/accounts/login/", headers={"Host": address.public_url().partition("://")[2]})
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def announce(values: dict[str, str], began: float) -> None:
    """Wait until pages answer, then print the address and, while nobody is administrator, the one-time link."""
    run = Path(values["KVMWEB_RUN_DIR"])
    while not (all(answers(str(run / name)) for name in SOCKETS if name != "redis.sock") and ready()):
        time.sleep(0.1)
        if time.monotonic() - began > 120:
            say("kvmweb does not answer yet; the lines above say why. `make doctor` looks for what is broken.")
            return
    asked = subprocess.run(
        [sys.executable, "manage.py", "setup_link"], cwd=ROOT, env=values, capture_output=True, text=True, check=False
    )
    url = address.public_url()
    link = asked.stdout.strip()
    frame = "─" * max(44, len(link) + 4)
    lines = ["", frame, f"  kvmweb is ready: {url}/"]
    if asked.returncode:
        lines += ["", "  The link for the first administrator could not be made:", asked.stderr.strip()]
    elif link:
        lines += ["", "  Make the first administrator here (this link works once):", f"  {link}"]
    lines += ["", "  Ctrl-C stops kvmweb; virtual machines keep running.", frame, ""]
    say(*lines)


def hang_up(_signal: int, _frame: object) -> None:
    """The terminal is gone: end in order, without anybody to tell."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.kill(os.getpid(), signal.SIGTERM)


def fold_wal(database: Path) -> None:
    """Put what SQLite still keeps in its log beside the database into it: then the one file is all of it."""
    if not database.exists():
        return
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database, timeout=5)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def main() -> int:
    """Run the stack until it is told to stop."""
    began = time.monotonic()
    os.umask(0o077)
    os.chdir(ROOT)
    state = env.path("KVMWEB_STATE_DIR")
    run, log = state / "run", state / "log"
    run.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_socket_paths(run)
    lock(run)
    orphans.end(log)
    check_port()
    nginx.write(run=run, log=log, static=state / "static")
    rotate(log)
    values = environment(state, run)
    if subprocess.run([sys.executable, "deploy/prepare.py"], check=False, env=values).returncode:
        raise env.SettingError("kvmweb could not be prepared: the lines above say why.")
    manager = Manager(once_started=lambda: announce(values, began))
    for name, command in wanted().items():
        manager.add_process(name, command, env=values)
    signal.signal(signal.SIGHUP, hang_up)
    manager.loop()
    fold_wal(state / "kvmweb.sqlite3")
    for name in (*SOCKETS, "nginx.conf", "nginx.pid"):
        (run / name).unlink(missing_ok=True)
    # Ctrl-C is how kvmweb is stopped, not an error.
    return 0 if manager.returncode in (0, 130, 143) else 1


if __name__ == "__main__":
    sys.exit(main())
