"""What `manage.py doctor` looks at: each check says in plain words what it found, and how to mend what is broken."""

from __future__ import annotations

import fcntl
import getpass
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from dashboard.hosts import units
from dashboard.inventory import credentials, fullness, sealing
from dashboard.virt import nodes
from dashboard.virt.connection import open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.uri import HostSpec
from kvmweb import address, env

LIBVIRT_SOCKET = "/run/libvirt/libvirt-sock"
VIRTLOGD_SOCKET = "/run/libvirt/virtlogd-sock"
SOCKET_PATH_BYTES = 107
LOW_DISK, FULL_DISK = 2 * 2**30, 200 * 2**20
PROCESSES = {"web": "web.sock", "VNC consoles": "console.sock", "serial consoles": "serial.sock"}
PROGRAMS = {"nginx": "nginx", "ssh": "openssh-client"}
HYPERVISOR_PROGRAMS = {
    "libvirtd": "libvirt-daemon-system",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "dnsmasq": "dnsmasq-base",
}


@dataclass(frozen=True)
class Finding:
    """One sentence about this machine; `mend` is the command or step that puts it right."""

    level: Literal["ok", "note", "broken"]
    text: str
    mend: str = ""


Findings = Iterator[Finding]


def examine() -> Findings:
    """All findings, in the order in which things stand on each other."""
    for check in CHECKS:
        yield from check()


def running() -> bool:
    """Whether the processes of this state folder are up: systemd says so, or the launcher's lock, as long as it lives."""
    if units.there():
        return units.running()
    try:
        descriptor = os.open(settings.RUN_DIR / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def find(program: str) -> str | None:
    """Path of a program, also where an ordinary user's PATH does not look."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def answers(path: Path | str) -> OSError | None:
    """None if something listens on a UNIX socket, else why it can't be talked to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(3)
        try:
            probe.connect(str(path))
        except OSError as error:
            return error
    return None


def python() -> Findings:
    """The interpreter and the pinned packages."""
    yield Finding("ok", f"Python {sys.version.split()[0]}")
    wrong = []
    for line in (settings.BASE_DIR / "requirements.txt").read_text(encoding="utf-8").splitlines():
        name, pinned, version = line.split("#")[0].strip().partition("==")
        if not pinned:
            continue
        try:
            there = metadata.version(name.split("[")[0])
        except metadata.PackageNotFoundError:
            there = "none"
        if there != version:
            wrong.append(f"{name} {version} (there is {there})")
    if wrong:
        yield Finding("broken", f"Python packages differ from requirements.txt: {', '.join(wrong)}", "make setup")
    else:
        yield Finding("ok", "Python packages are those of requirements.txt")


def programs() -> Findings:
    """Programs of the distribution."""
    wanted = dict(PROGRAMS)
    if not env.text("KVMWEB_REDIS_URL"):
        wanted["redis-server"] = "redis-server"
    if settings.LOCAL_HOST and not settings.LIBVIRT_SOCKET:
        wanted |= HYPERVISOR_PROGRAMS
    missing = {program: package for program, package in wanted.items() if not find(program)}
    for program, package in missing.items():
        yield Finding("broken", f"The program {program} is missing", f"make setup, or: apt-get install {package}")
    if not missing:
        yield Finding("ok", f"Programs are there: {', '.join(wanted)}")


def state_folder() -> Findings:
    """The folder of database, sockets and secrets."""
    folder: Path = settings.STATE_DIR
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            "broken", f"{folder} can't be written by {getpass.getuser()}", f"chown -R {getpass.getuser()} {folder}"
        )
        return
    if len(os.fsencode(settings.RUN_DIR / "console.sock")) > SOCKET_PATH_BYTES:
        yield Finding(
            "broken", f"The path {folder} is too long for UNIX sockets", "set KVMWEB_STATE_DIR to a shorter path"
        )
    own = 0o770 if units.there() else 0o700  # its processes are users of their own, and share a group
    if stat.S_IMODE(folder.stat().st_mode) & 0o777 & ~own:
        yield Finding("broken", f"Other users of this machine can look into {folder}", f"chmod {own:o} {folder}")
    free = shutil.disk_usage(folder).free
    left = f"{free / 2**30:.1f} GiB free for {folder}"
    if free < FULL_DISK:
        yield Finding(
            "broken", f"The disk is full: {left}", "make room on that disk, or move KVMWEB_STATE_DIR to another"
        )
    elif free < LOW_DISK:
        yield Finding("note", f"The disk is nearly full: {left}", "make room on that disk")
    else:
        yield Finding("ok", left)


def secrets() -> Findings:
    """Secrets are for their owner only."""
    files = sorted(
        path
        for part in (settings.STATE_DIR / "secrets", settings.HOST_FILES_DIR)
        for path in part.rglob("*")
        if path.is_file()
    )
    open_to_others = [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]
    for path in open_to_others:
        yield Finding("broken", f"Other users of this machine can read the secret {path}", f"chmod 600 {path}")
    if not open_to_others:
        yield Finding("ok", "Secrets are readable by their owner only")


def database() -> Findings:
    """The database answers and is up to date."""
    if not _database_is_there():
        name = settings.DATABASES["default"]["NAME"]
        yield Finding("note", f"There is no database yet ({name})", "make run makes it")
        return
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        yield Finding("broken", f"The database does not answer: {error}", "see KVMWEB_DATABASE_URL in docs/settings.md")
        return
    finally:
        connection.close()
    if waiting:
        yield Finding(
            "broken",
            f"The database lacks {len(waiting)} migrations",
            "restart kvmweb, or: .venv/bin/python manage.py migrate",
        )
    else:
        yield Finding("ok", f"The database ({connection.vendor}) answers and is up to date")


def _database_is_there() -> bool:
    """False where looking would make SQLite's file."""
    return connection.vendor != "sqlite" or Path(settings.DATABASES["default"]["NAME"]).exists()


def keys() -> Findings:
    """The keys that are here open what the database keeps sealed."""
    given, public = settings.HOST_KEYS, settings.HOST_PUBLIC_KEY
    try:
        if given and public and sealing.public_half(given[0]) != public:
            mend = f"set KVMWEB_HOST_PUBLIC_KEY={sealing.public_half(given[0])}"
            yield Finding("broken", "KVMWEB_HOST_PUBLIC_KEY does not belong to the first of KVMWEB_HOST_KEYS", mend)
        sealing.seal(public or sealing.public_half(sealing.make_key()), "", "")
        lost = ", ".join(host.name for host in credentials.unreadable()) if _database_is_there() else ""
    except ValueError:
        text = "KVMWEB_ENCRYPTION_KEYS, KVMWEB_HOST_KEYS or KVMWEB_HOST_PUBLIC_KEY holds something that is no key"
        yield Finding("broken", text, "see docs/settings.md about keys")
        return
    except DatabaseError:
        return  # said already
    finally:
        connection.close()
    if lost:
        mend = "bring the keys back (folder `secrets` of a backup), or remove these hosts and add them again"
        yield Finding("broken", f"The keys that are here do not open the credentials of: {lost}", mend)
    elif credentials.can_read():
        yield Finding("ok", "Hosts' credentials can be opened")
    else:
        yield Finding("note", "Only KVMWEB_HOST_PUBLIC_KEY is here: hosts' credentials are taken in and not opened")


def room() -> Findings:
    """What makes kvmweb read-only, or will soon, beside the state folder's disk."""
    for trouble in fullness.look():
        if trouble.what != "disk":
            yield Finding("broken" if trouble.full else "note", trouble.text % trouble.values)


def files() -> Findings:
    """Browser libraries, collected files and translations."""
    if not (settings.BASE_DIR / "static" / "vendor" / "bootstrap").is_dir():
        yield Finding("broken", "The browser libraries are missing", "make setup")
    elif not settings.DEBUG and not (settings.STATIC_ROOT / "staticfiles.json").exists():
        yield Finding("note", "Static files are not collected yet", "make run collects them")
    else:
        yield Finding("ok", "Browser libraries and static files are there")
    sources = [path for folder in settings.LOCALE_PATHS for path in folder.rglob("*.po")]
    if any(not path.with_suffix(".mo").exists() for path in sources):
        yield Finding("note", "Translations are not compiled yet", "make run compiles them")


def stack() -> Findings:
    """kvmweb's own processes if they run, else whether they could."""
    host, port = address.listen()
    yield from _services() if units.there() else _processes()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            free, reason = True, ""
        except OSError as error:
            free, reason = False, error.strerror or ""
    if running() and free:
        yield Finding(
            "broken",
            f"kvmweb runs, but nothing listens on {host} port {port}",
            "journalctl -u nginx; nginx -t" if units.there() else "see nginx's lines in what `make run` prints",
        )
    elif not running() and not free:
        yield Finding("broken", f"{host} port {port} can't be used: {reason}", "set KVMWEB_LISTEN to another port")
    else:
        yield Finding("ok", f"Pages are at {settings.PUBLIC_URL}/" if running() else f"{host} port {port} is free")


def _services() -> Findings:
    for unit, state in units.states().items():
        if state != "active":
            yield Finding("broken", f"{unit} is {state}", f"journalctl -u {unit} says why; systemctl restart {unit}")


def _processes() -> Findings:
    if not running():
        yield Finding("note", "kvmweb is not running with this state folder", "make run")
        return
    for name, file in PROCESSES.items():
        if error := answers(settings.RUN_DIR / file):
            yield Finding(
                "broken",
                f"kvmweb runs, but its process for {name} does not answer: {error.strerror}",
                "see the lines that `make run` prints",
            )


def redis_server() -> Findings:
    """Redis, when it should be there."""
    own = not env.text("KVMWEB_REDIS_URL")
    if own and not running():
        return
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=3, socket_connect_timeout=3) as client:
            version = client.info("server")["redis_version"]
    except redis.RedisError as error:
        mend = f"see {settings.STATE_DIR}/log/redis.log" if own else "start it, or correct KVMWEB_REDIS_URL"
        yield Finding("broken", f"Redis does not answer: {error}", mend)
    else:
        yield Finding("ok", f"Redis {version} answers")


def libvirt() -> Findings:
    """This machine's own libvirt: there, allowed, and good for what."""
    if not settings.LOCAL_HOST:
        yield Finding("note", "This machine is not a host itself (KVMWEB_LOCAL_HOST=0)")
        return
    path = settings.LIBVIRT_SOCKET or LIBVIRT_SOCKET
    error = answers(path)
    if isinstance(error, PermissionError):
        user = getpass.getuser()
        yield Finding(
            "broken",
            f"{user} may not use this machine's libvirt ({path})",
            f"sudo usermod -aG libvirt {user}, then sign in again",
        )
        return
    if error:
        yield _silent(path, error)
        return
    try:
        with closing(
            open_connection(HostSpec(key="doctor", transport="local", socket=settings.LIBVIRT_SOCKET))
        ) as opened:
            nodes.check_access(opened.conn)
            facts = nodes.read_host(opened.conn)
    except VirtError as problem:
        yield Finding(
            "broken", f"libvirt answers, but: {problem.message} ({problem.detail})", "see docs/guide.md about hosts"
        )
        return
    yield Finding(
        "ok", f"libvirt {facts.libvirt_version} with QEMU {facts.hypervisor_version} answers, and we may make changes"
    )
    error = None if settings.LIBVIRT_SOCKET else answers(VIRTLOGD_SOCKET)
    if error and not isinstance(error, PermissionError):  # it is libvirtd that talks to it, not we
        mend = (
            "sudo systemctl start virtlogd.socket"
            if Path("/run/systemd/system").is_dir()
            else "make run starts it together with libvirtd"
        )
        yield Finding("broken", f"virtlogd does not answer, so no guest can start: {error.strerror}", mend)
    yield from _kvm(works=facts.kvm)


def _silent(path: str, error: OSError) -> Finding:
    text = f"This machine's libvirt does not answer ({path}): {error.strerror}"
    if settings.LIBVIRT_SOCKET:
        return Finding("broken", text, "start that libvirt, or correct KVMWEB_LIBVIRT_SOCKET")
    if Path("/run/systemd/system").is_dir():
        return Finding("broken", text, "sudo systemctl enable --now libvirtd.socket virtlogd.socket")
    if running():
        return Finding("broken", text, f"see {settings.STATE_DIR}/log/libvirtd.log")
    return Finding("note", text, "make run starts it")


def _kvm(*, works: bool) -> Findings:
    if works:
        yield Finding("ok", "Guests run on the processor itself (KVM)")
    elif Path("/dev/kvm").exists():
        yield Finding(
            "note",
            "There is a /dev/kvm, but it does not work well: guests will be emulated, which is slow",
            "if this machine is virtual itself, switch on nested virtualization for it",
        )
    else:
        yield Finding(
            "note",
            "There is no /dev/kvm: guests will be emulated, which is slow",
            "switch on VT-x or AMD-V in the firmware, then: sudo modprobe kvm_intel (or kvm_amd)",
        )


CHECKS: tuple[Callable[[], Findings], ...] = (
    python,
    programs,
    state_folder,
    secrets,
    database,
    keys,
    files,
    redis_server,
    room,
    stack,
    libvirt,
)
