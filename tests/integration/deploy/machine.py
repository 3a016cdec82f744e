"""A machine with a real systemd of its own, in namespaces: what deploy/install does there happens as on a server."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from pathlib import Path

import psutil

from tests.lab.hosts import LabError, run, wait_for

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CHECKOUT = "/opt/kvmweb"
SPACES = ("--mount", "--pid", "--uts", "--ipc", "--cgroup")
BOOT = ("setpriv", "--pdeathsig=KILL", "unshare", *SPACES, "--fork", "--kill-child=KILL", HERE / "boot.sh", ROOT)
PROGRAMS = ("/lib/systemd/systemd", "unshare", "nsenter", "setpriv", "nginx", "redis-server", "dbus-daemon")

ENDED = (
    "The machine ended, see below. It needs what the libvirt hosts of the other tests need, too: root that may make "
    "namespaces and mount (in a container: --privileged)."
)

_numbers = itertools.count(1)


class Machine:
    """One boot of boot.sh. It shares this machine's network, and none of its files or processes."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "machine.log"
        self.name = f"kvmweb-machine-{next(_numbers)}-{os.getpid()}"
        self.process: subprocess.Popen[bytes] | None = None
        self.was_up = False

    def boot(self) -> None:
        """Start it and wait until systemd says that it is up."""
        if os.geteuid():
            raise LabError("tests with a systemd of their own need root: they make mount, pid and cgroup namespaces")
        missing = [program for program in PROGRAMS if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")]
        if missing:
            raise LabError(f"these programs are missing: {', '.join(missing)}")
        outside = {name: value for name, value in os.environ.items() if not name.startswith("KVMWEB_")}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*self._in_cgroup("run"), *BOOT], env=outside, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.was_up = bool(wait_for(self._is_up, seconds=30, saying="systemd is up"))

    def _in_cgroup(self, what: str) -> list[str]:
        return ["unshare", "--mount", "--propagation=private", str(HERE / "cgroup.sh"), what, self.name]

    def _is_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise LabError(f"{ENDED}\n{self.log.read_text(errors='replace')}")
        with contextlib.suppress(LabError):
            return self.run("systemctl", "is-active", "lab.target").strip() == "active"
        return False

    @property
    def pid(self) -> int:
        """Its first process, as seen from here."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children()
        if not children:
            raise LabError("the machine has not begun yet")
        return children[0].pid

    def run(self, *argv: str, env: dict[str, str] | None = None, timeout: float = 120, text: str | None = None) -> str:
        """Run a command in it as root; its output. LabError with everything it said if it fails."""
        enter = ["nsenter", f"--target={self.pid}", *SPACES]
        settings = [f"{name}={value}" for name, value in (env or {}).items()]
        done = subprocess.run(
            [
                *enter,
                "env",
                f"--chdir={CHECKOUT}",
                "-i",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                *settings,
                *argv,
            ],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            input=text or "",
        )
        if done.returncode:
            raise LabError(f"{' '.join(argv)} → {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def as_user(self, user: str, *argv: str) -> str:
        """The same, as one of its users."""
        return self.run("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--", *argv)

    def off(self) -> None:
        """End it with all that runs in it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            # One that never was up has said what is missing, and may have no cgroup.
            with contextlib.nullcontext() if self.was_up else contextlib.suppress(LabError):
                run(*self._in_cgroup("end"))
