"""Private libvirt hosts in namespaces: starting them, acting inside them, and breaking them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dashboard.virt.uri import HostSpec, Transport

HERE = Path(__file__).resolve().parent
ROOT = Path("/tmp")
NAME = "kvmweb-lab-"


class LabError(Exception):
    """The lab could not do what a test asked of it."""


def run(*argv: str | Path, env: dict[str, str] | None = None, timeout: float = 60) -> str:
    """Run a command; its output. LabError with everything it said if it fails."""
    done = subprocess.run(
        [str(arg) for arg in argv], env=env, timeout=timeout, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise LabError(f"{' '.join(map(str, argv))} → {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def wait_for(what: Callable[[], Any], *, seconds: float = 10, every: float = 0.05, saying: str = "") -> Any:
    """Ask until the answer is true; that answer. LabError after `seconds`."""
    until = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > until:
            raise LabError(f"not so after {seconds:g} s: {saying or what}")
        time.sleep(every)


class LabHost:
    """One libvirt host: its own address, sshd, libvirtd (UNIX socket, TCP with SASL, TLS), networks and pools."""

    def __init__(self, lab: Lab, number: int) -> None:
        self.lab, self.number, self.name = lab, number, f"h{number}"
        self.address = f"{lab.net}.1{number}"
        self.dir = lab.dir / self.name
        self.images = self.dir / "var-lib" / "images"
        """The host's /var/lib/libvirt/images, as this process sees it."""

    @property
    def pid(self) -> int:
        """Pid of the host's first process; it dies, the host dies."""
        return int((self.dir / "pid").read_text())

    @property
    def socket(self) -> str:
        """The host's libvirt socket, reachable from outside."""
        return f"/proc/{self.pid}/root/run/libvirt/libvirt-sock"

    @property
    def ssh_key(self) -> Path:
        return self.lab.dir / "dash" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.lab.dir / "dash" / "known_hosts"

    @property
    def pki_dir(self) -> Path:
        return self.lab.dir / "dash" / "pki"

    def spec(self, transport: Transport = "local", *, key: str = "", **changes: Any) -> HostSpec:
        """How kvmweb reaches this host. SASL: admin/labpass; SSH: root by key (its password is rootpass)."""
        fields: dict[str, Any] = {"key": key or f"{self.lab.prefix}-{self.name}-{transport}", "transport": transport}
        if transport == "local":
            fields["socket"] = self.socket
        else:
            fields["address"] = self.address
        if transport == "ssh":
            fields |= {"user": "root", "key_file": str(self.ssh_key), "known_hosts": str(self.known_hosts)}
        elif transport == "tls":
            fields["pki_dir"] = str(self.pki_dir)
        elif transport == "tcp":
            fields |= {"user": "admin", "password": "labpass"}
        return HostSpec(**fields | changes)

    def exec(self, *argv: str, timeout: float = 60) -> str:
        """Run a command inside the host."""
        return self.lab.run("exec", self.name, *argv, timeout=timeout)

    def virsh(self, *argv: str, timeout: float = 60) -> str:
        """What `virsh` says about this host; also a change from outside kvmweb."""
        uri = f"qemu+unix:///system?socket={self.socket}"
        return run("virsh", "-q", "-c", uri, *argv, timeout=timeout).strip()

    def put(self, image: Path, name: str = "") -> str:
        """Copy an image into the host's image folder; its path there."""
        self.images.mkdir(exist_ok=True)
        target = self.images / (name or image.name)
        run("cp", "--sparse=always", image, target)
        target.chmod(0o666)
        return f"/var/lib/libvirt/images/{target.name}"

    def kill_libvirtd(self, sig: str = "KILL") -> None:
        """End libvirtd (guests run on), or send it another signal: STOP, CONT, TERM."""
        pid = self.libvirtd_pid
        self.lab.run("killd", self.name, sig)
        if sig in ("KILL", "TERM"):
            wait_for(lambda: not Path(f"/proc/{pid}").exists(), saying="libvirtd ended")

    def start_libvirtd(self) -> None:
        self.lab.run("startd", self.name)
        wait_for(self.answers, seconds=20, saying=f"libvirt of {self.name} answers")

    @property
    def libvirtd_pid(self) -> int:
        """Pid of libvirtd as this process sees it."""
        inner = Path(f"/proc/{self.pid}/root/run/libvirtd.pid").read_text().strip()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                status = (process / "status").read_text()
                same = (process / "ns/pid").readlink() == Path(f"/proc/{self.pid}/ns/pid").readlink()
            except OSError:
                continue
            spaces = [line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")]
            if same and spaces and spaces[0][-1] == inner:
                return int(process.name)
        raise LabError(f"libvirtd of {self.name} does not run")

    def answers(self) -> bool:
        """True when libvirt on the host answers."""
        try:
            self.virsh("version", timeout=10)
        except (LabError, OSError, subprocess.TimeoutExpired):
            return False
        return True

    def cut(self) -> None:
        """Pull the management cable: packets vanish, nobody is told."""
        self.lab.run("cut", self.name)

    def uncut(self) -> None:
        self.lab.run("uncut", self.name)

    def drop(self, port: int) -> None:
        """A black hole: packets to this port of the host vanish."""
        self.exec("iptables", "-I", "INPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")

    def undrop(self, port: int) -> None:
        self.exec("iptables", "-D", "INPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")

    def crash(self) -> None:
        """A power cut; `start()` turns it on again."""
        self.lab.run("crash", self.name)

    def start(self) -> None:
        self.lab.run("start", self.name)


class Lab:
    """All hosts of one test run, with names and addresses that no other run has."""

    def __init__(self) -> None:
        self.dir, number = _claim()
        self.prefix, self.net, self.lan = f"kwt{number}", f"10.201.{number}", f"10.202.{number}"
        self.hosts: list[LabHost] = []

    def run(self, *argv: str, timeout: float = 60) -> str:
        """Run the lab script."""
        return run(HERE / "lab", *argv, env=_environment(self.dir, self.prefix, self.net, self.lan), timeout=timeout)

    def up(self, count: int) -> list[LabHost]:
        """At least `count` hosts (at most 9); the first `count` of them."""
        if count > len(self.hosts):
            self.run("up", str(count), timeout=120)
            self.hosts += [LabHost(self, number) for number in range(len(self.hosts) + 1, count + 1)]
        return self.hosts[:count]

    def down(self) -> None:
        """End everything and remove every trace."""
        self.run("down", timeout=120)
        shutil.rmtree(self.dir, ignore_errors=True)


def _environment(folder: Path, prefix: str, net: str, lan: str) -> dict[str, str]:
    return dict(os.environ) | {"LAB": str(folder), "LAB_PREFIX": prefix, "LABNET": net, "LABLAN": lan}


def _claim() -> tuple[Path, int]:
    """A free number for a lab, claimed by making its folder; labs whose run was killed are cleared away first."""
    if os.geteuid():
        raise LabError("tests with real libvirt hosts need root: they make network, mount and pid namespaces")
    clear_orphans()
    taken = run("ip", "-4", "-o", "addr")
    for number in [*range(20 + os.getpid() % 200, 250), *range(20, 250)]:
        folder = ROOT / f"{NAME}{number}"
        if f" 10.201.{number}." in taken:
            continue
        try:
            folder.mkdir(mode=0o755)
        except FileExistsError:
            continue
        (folder / "owner").write_text(_identity(os.getpid()))
        return folder, number
    raise LabError(f"no free number for a lab; look at {ROOT}/{NAME}*")


def clear_orphans() -> None:
    """End the labs whose test run no longer exists (killed before it could clean up)."""
    for folder in ROOT.glob(f"{NAME}[0-9]*"):
        try:
            owner = (folder / "owner").read_text()
        except OSError:
            continue
        if owner and _identity(int(owner.split()[0])) != owner:
            number = folder.name.removeprefix(NAME)
            where = _environment(folder, f"kwt{number}", f"10.201.{number}", f"10.202.{number}")
            subprocess.run([HERE / "lab", "down"], env=where, timeout=120, capture_output=True, check=False)
            shutil.rmtree(folder, ignore_errors=True)


def _identity(pid: int) -> str:
    """A process by pid and start time, so that a reused pid is not taken for it."""
    try:
        return f"{pid} {Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[19]}"
    except OSError:
        return ""


def stop_process(pid: int) -> None:
    """Freeze a process as a hang would (SIGSTOP)."""
    os.kill(pid, signal.SIGSTOP)


def continue_process(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)
