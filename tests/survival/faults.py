"""What goes wrong on purpose: processes killed and stopped, storage that is slow, networks that lose packets."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.lab.hosts import LabError, LabHost

MARKS = {
    "worker": "kvmweb.worker",
    "monitor": "manage.py monitor",
    "web": "kvmweb.asgi:application",
    "redis": "redis-server",
    "nginx": "nginx: master",
    "console": "console_gateway",
    "serial": "consoles.serial:application",
}
"""What tells a process of the Procfile by its command line."""


class SlowDisks:
    """Makes a lab host's qemu-img wait, as slow storage does: a volume of a held name takes until it is let go."""

    SCRIPT = """#!/bin/sh
for hold in /var/lib/libvirt/slow/*.hold; do
    name=${hold##*/}
    case "$*" in
    *"${name%.hold}-"*)
        : >"$hold.reached"
        while [ -e "$hold" ]; do sleep 0.01; done
        rm -f "$hold.reached"
        ;;
    esac
done
exec /usr/bin/qemu-img "$@"
"""

    def __init__(self, host: LabHost) -> None:
        self.host, self.folder = host, host.dir / "var-lib" / "slow"

    def begin(self) -> None:
        """Put our qemu-img before the real one, inside the host only."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "qemu-img").write_text(self.SCRIPT)
        (self.folder / "qemu-img").chmod(0o755)
        self.host.exec("mount", "--bind", "/var/lib/libvirt/slow", "/usr/local/sbin")

    def end(self) -> None:
        """Let everything go."""
        for path in self.folder.glob("*.hold"):
            path.unlink()
        self.host.exec("umount", "/usr/local/sbin")

    def hold(self, name: str) -> None:
        (self.folder / f"{name}.hold").touch()

    def reached(self, name: str) -> bool:
        """Whether a volume of this name waits now."""
        return (self.folder / f"{name}.hold.reached").exists()

    def let_go(self, name: str) -> None:
        (self.folder / f"{name}.hold").unlink(missing_ok=True)


def process_of(stack: int, mark: str) -> psutil.Process:
    """The process of the Procfile whose command line has `mark`: the leader that deploy/respawn started."""
    for process in psutil.Process(stack).children(recursive=True):
        try:
            words, parent = " ".join(process.cmdline()), process.parent()
            guarded = parent is not None and "deploy/respawn" in " ".join(parent.cmdline()[:2])
        except psutil.NoSuchProcess:
            continue
        if guarded and mark in words and not words.startswith(("setsid", "setpriv", "/bin/sh deploy", "sh deploy")):
            return process
    raise LabError(f"no process of {mark}")


def pids_of(state: Path) -> dict[int, str]:
    """All processes of an installation and their command lines, whoever started them."""
    found = {}
    for process in psutil.process_iter():
        try:
            # nginx writes its titles over its environment: it is known by the logs that it has open.
            ours = process.environ().get("KVMWEB_STATE_DIR") == str(state) or (
                process.name() == "nginx" and any(str(state) in file.path for file in process.open_files())
            )
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def kill_at_once(state: Path) -> None:
    """All processes of an installation, none of which sees another die. nginx's worker is left, as killers leave it."""
    pids = [pid for pid, line in pids_of(state).items() if not line.startswith("nginx: worker")]
    for sig in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, sig)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that hangs while the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def bad_network(host: LabHost, kind: str, port: int) -> Iterator[None]:
    """The way to a port of a host is bad: "drop", "reset", "loss" (one packet of ten), "narrow" (1 Mbit/s)."""
    match = ["-p", "tcp", "--dport", str(port)]
    rules = {
        "drop": [*match, "-j", "DROP"],
        "reset": [*match, "-j", "REJECT", "--reject-with", "tcp-reset"],
        "loss": ["-p", "tcp", "-m", "statistic", "--mode", "random", "--probability", "0.1", "-j", "DROP"],
    }
    if kind == "narrow":
        host.exec(
            "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "1mbit", "burst", "16kb", "latency", "400ms"
        )
    else:
        host.exec("iptables", "-I", "INPUT", *rules[kind])
    try:
        yield
    finally:
        if kind == "narrow":
            host.exec("tc", "qdisc", "del", "dev", "eth0", "root")
        else:
            host.exec("iptables", "-D", "INPUT", *rules[kind])
